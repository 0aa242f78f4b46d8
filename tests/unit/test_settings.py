"""The table of settings: where each comes from, its form, and the error if it is missing or malformed."""

from __future__ import annotations

import pytest

from chalicelib.settings import Setting, SettingError, Settings, Source
from tests.fakes.clock import FakeClock
from tests.fakes.parameter_store import FakeParameterStore

TABLE = Settings.table()
PATH = "/dragonpost/prod/"

# A valid value for each setting.
VALUES = {
    "stage": "prod",
    "allow_origin": "https://dragonpost.example",
    "consumer_concurrency": "1000",
    "user_pool_arn": "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_abc",
    "user_pool_client_id": "4p5ld3k2nq8f1v7c9h6r0sjt2u",
    "message_archive_bucket_name": "dragonpost-prod-messages-123456789012",
    "message_table_name": "dragonpost-prod-messages",
    "dragon_store": "dynamodb",
    "dragon_table_name": "dragonpost-prod-dragons",
    "submission_table_name": "dragonpost-prod-submissions",
    "message_queue_url": "https://sqs.us-east-1.amazonaws.com/123456789012/dragonpost-prod-messages",
    "message_dead_letter_queue_url": "http://localhost:4566/000000000000/dragonpost-local-messages-dead",
    "dragon_workflow_arn": "arn:aws-cn:states:cn-north-1:123456789012:stateMachine:dragonpost-prod-dragons",
    "dragon_data_bucket_name": "dragonpost-prod-dragons-123456789012",
    "dragon_data_file_name": "some where/dragons.json",
    "sms_allowed_prefixes": "+1, +44",
    "archive_retention_days": "30",
    "commit": "5ad1f6d0c7c24f6a0a3a3b3c1f0e9d8c7b6a5940-dirty",
}

# A malformed value for each setting.
MALFORMED = {
    "stage": "Prod!",
    "allow_origin": "dragonpost.example",
    "consumer_concurrency": "1",
    "commit": "main",
    "user_pool_arn": "us-east-1_abc",
    "user_pool_client_id": "a b",
    "message_archive_bucket_name": "s3://bucket",
    "message_table_name": "no/table",
    "dragon_store": "DynamoDB",
    "dragon_table_name": "no/dragons",
    "submission_table_name": "no/rows",
    "message_queue_url": "dragonpost-prod-messages",
    "message_dead_letter_queue_url": "arn:aws:sqs:us-east-1:123456789012:dead",
    "dragon_workflow_arn": "arn:aws:states:us-east-1:123456789012:execution:dragons",
    "dragon_data_bucket_name": "UPPER_CASE",
    "dragon_data_file_name": "x" * 1025,
    "sms_allowed_prefixes": "1,44",
    "archive_retention_days": "30 days",
}


def of_source(*sources: Source) -> list[Setting]:
    """Return the settings that come from these sources."""
    return [setting for setting in TABLE.values() if setting.source in sources]


def settings_of(environment: dict[str, str], parameters: dict[str, str]) -> tuple[Settings, FakeParameterStore]:
    """Return the settings of a function with this environment, and the Parameter Store that it may read."""
    store = FakeParameterStore(PATH, parameters)
    return Settings({"DRAGONPOST_STAGE": "prod", **environment}, lambda: store), store  # type: ignore[arg-type,return-value]


def variables() -> dict[str, str]:
    """Return an environment with every variable that it may have."""
    return {row.variable: VALUES[row.name] for row in of_source(Source.ENVIRONMENT, Source.STACK)}


def parameters() -> dict[str, str]:
    """Return every parameter that the stack puts into Parameter Store."""
    return {row.name: VALUES[row.name] for row in of_source(Source.STACK, Source.PARAMETER_STORE)}


def test_every_setting_has_samples_here() -> None:
    assert TABLE.keys() == VALUES.keys() == MALFORMED.keys()


@pytest.mark.parametrize("setting", TABLE.values(), ids=lambda setting: setting.name)
def test_every_setting_is_found_if_environment_and_parameter_store_are_complete(setting: Setting) -> None:
    settings, store = settings_of(variables(), parameters())

    assert getattr(settings, setting.name) == VALUES[setting.name]
    assert store.reads == (setting.source is Source.PARAMETER_STORE)


@pytest.mark.parametrize("setting", of_source(Source.STACK), ids=lambda setting: setting.name)
def test_a_setting_of_the_stack_is_read_from_parameter_store_if_the_environment_lacks_it(setting: Setting) -> None:
    for environment in ({}, {setting.variable: " "}):
        settings, store = settings_of(environment, parameters())

        assert getattr(settings, setting.name) == VALUES[setting.name]
        assert store.reads == 1


@pytest.mark.parametrize("setting", TABLE.values(), ids=lambda setting: setting.name)
def test_a_value_is_stripped_wherever_it_comes_from(setting: Setting) -> None:
    padded = f" {VALUES[setting.name]}\n"
    settings, _ = settings_of({**variables(), setting.variable: padded}, {**parameters(), setting.name: padded})

    assert getattr(settings, setting.name) == VALUES[setting.name]


@pytest.mark.parametrize("setting", of_source(Source.PARAMETER_STORE), ids=lambda setting: setting.name)
def test_a_setting_that_may_change_at_run_time_is_never_taken_from_the_environment(setting: Setting) -> None:
    settings, _ = settings_of({setting.variable: "none"}, parameters())

    assert getattr(settings, setting.name) == VALUES[setting.name]


@pytest.mark.parametrize("setting", of_source(Source.ENVIRONMENT), ids=lambda setting: setting.name)
def test_a_setting_of_the_deployment_has_a_default_and_is_never_read_from_parameter_store(setting: Setting) -> None:
    store = FakeParameterStore("/dragonpost/local/", {setting.name: VALUES[setting.name]})
    settings = Settings({}, lambda: store)  # type: ignore[arg-type,return-value]

    assert getattr(settings, setting.name) == setting.default
    assert store.reads == 0


@pytest.mark.parametrize("source", [Source.STACK, Source.PARAMETER_STORE])
def test_all_parameters_of_a_source_are_read_in_one_call(source: Source) -> None:
    """The environment may have those of the stack, so they are read apart. GetParameters takes ten names."""
    settings, store = settings_of({}, parameters())

    for row in of_source(source):
        assert getattr(settings, row.name) == VALUES[row.name]
    assert store.reads == 1


def test_what_a_function_has_in_its_environment_is_not_read_with_what_people_may_change() -> None:
    """It would be a second call of each new function: Parameter Store answers 40 a second."""
    settings, store = settings_of(variables(), parameters())
    for row in of_source(Source.STACK):
        del store.values[row.name]

    assert {row.name for row in of_source(Source.PARAMETER_STORE) if getattr(settings, row.name)} == set(store.values)
    assert store.reads == 1


def test_only_what_people_may_change_is_read_anew() -> None:
    settings, store = settings_of({}, parameters())
    _ = settings.dragon_store, settings.dragon_table_name
    store.values |= {"dragon_store": "s3", "dragon_table_name": "another"}
    settings.read_anew()

    assert (settings.dragon_store, settings.dragon_table_name) == ("s3", VALUES["dragon_table_name"])
    assert store.reads == 3


def test_another_stages_parameters_are_not_read() -> None:
    settings, _ = settings_of({"DRAGONPOST_STAGE": "dev"}, parameters())

    with pytest.raises(AssertionError, match="/dragonpost/dev/user_pool_client_id was asked for"):
        _ = settings.message_table_name


@pytest.mark.parametrize("setting", of_source(Source.STACK, Source.PARAMETER_STORE), ids=lambda setting: setting.name)
def test_a_missing_parameter_is_named_with_what_to_do_and_breaks_no_other(setting: Setting) -> None:
    for value in ("", " "):
        settings, _ = settings_of({}, {**parameters(), setting.name: value})

        with pytest.raises(SettingError, match=f"{PATH}{setting.name}: deploy"):
            getattr(settings, setting.name)
        for other in parameters().keys() - {setting.name}:
            assert getattr(settings, other) == VALUES[other]


@pytest.mark.parametrize("setting", of_source(Source.STACK, Source.PARAMETER_STORE), ids=lambda setting: setting.name)
def test_a_malformed_parameter_is_named_with_its_form_and_breaks_no_other(setting: Setting) -> None:
    settings, _ = settings_of({}, {**parameters(), setting.name: MALFORMED[setting.name]})

    with pytest.raises(SettingError, match=f"{PATH}{setting.name} is malformed") as error:
        getattr(settings, setting.name)
    assert setting.example in str(error.value)
    assert MALFORMED[setting.name] not in str(error.value)
    for other in parameters().keys() - {setting.name}:
        assert getattr(settings, other) == VALUES[other]


@pytest.mark.parametrize("setting", of_source(Source.ENVIRONMENT, Source.STACK), ids=lambda setting: setting.name)
def test_a_malformed_variable_is_named_and_not_replaced_by_parameter_store(setting: Setting) -> None:
    with pytest.raises(SettingError, match=f"{setting.variable} is malformed"):
        getattr(settings_of({setting.variable: MALFORMED[setting.name]}, parameters())[0], setting.name)


def test_parameters_that_the_service_does_not_know_are_left_alone() -> None:
    settings, _ = settings_of({}, {**parameters(), "later": " "})

    assert settings.message_table_name == VALUES["message_table_name"]


@pytest.mark.parametrize(
    ("prefixes", "number", "allowed"),
    [
        ("+1,+44", "+15555550100", True),
        ("+1, +44", "+447700900123", True),
        ("+44", "+15555550100", False),
        ("none", "+15555550100", False),
    ],
)
def test_texts_are_allowed_only_to_listed_countries(prefixes: str, number: str, allowed: bool) -> None:
    settings, _ = settings_of({}, {"sms_allowed_prefixes": prefixes})

    assert settings.sms_allowed_to(number) is allowed


def test_a_parameter_that_becomes_malformed_while_the_service_runs_keeps_its_earlier_value() -> None:
    clock = FakeClock()
    store = FakeParameterStore(PATH, parameters() | {"of_somebody_else": "x"})
    settings = Settings({"DRAGONPOST_STAGE": "prod"}, lambda: store, clock)  # type: ignore[arg-type,return-value]
    before = settings.dragon_data_bucket_name
    store.values["dragon_data_bucket_name"] = MALFORMED["dragon_data_bucket_name"]
    store.values["dragon_data_file_name"] = "changed.json"
    clock.now += 100

    assert settings.dragon_data_bucket_name == before
    assert settings.dragon_data_file_name == "changed.json"


def test_a_missing_parameter_is_named_with_the_ways_to_put_it_back() -> None:
    settings, _ = settings_of({}, {})
    with pytest.raises(SettingError) as missing:
        _ = settings.message_table_name

    assert str(missing.value) == (
        f"Parameter Store lacks {PATH}message_table_name: deploy the stage again (locally, start `make run` again), "
        "which puts it back, or add it by hand."
    )


def test_a_setting_is_named_after_its_member() -> None:
    class Table:
        shoe_size = Setting(Source.PARAMETER_STORE, r"[0-9]+", "42", default="40")

    row = Table.shoe_size  # type: ignore[call-overload]
    assert (row.name, row.variable) == ("shoe_size", "DRAGONPOST_SHOE_SIZE")
    assert (row.source, row.form.pattern, row.example, row.default) == (Source.PARAMETER_STORE, "[0-9]+", "42", "40")
