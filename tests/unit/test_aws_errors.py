"""What botocore's errors mean to the service, and how clients are made."""

from __future__ import annotations

import inspect
import ssl
from typing import Any
from unittest.mock import Mock

import pytest
from botocore import exceptions as botocore
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    IncompleteReadError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
    SSLError,
)
from botocore.parsers import ResponseParserError
from botocore.retries.standard import ThrottledRetryableChecker, TransientRetryableChecker

from chalicelib import aws
from tests.fakes.aws_errors import client_error

URL = "https://s3.us-east-1.amazonaws.com"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (client_error("ThrottlingException"), aws.DependencyUnavailable),
        (client_error("ThrottledException"), aws.DependencyUnavailable),
        (client_error("ProvisionedThroughputExceededException"), aws.DependencyUnavailable),
        (client_error("SlowDown", 503), aws.DependencyUnavailable),
        (client_error("ExecutionLimitExceeded"), aws.DependencyUnavailable),
        (client_error("InternalError", 500), aws.DependencyUnavailable),
        (client_error("ServiceUnavailable", 503), aws.DependencyUnavailable),
        (client_error("AccessDenied", 403), aws.DependencyFault),
        (client_error("ResourceNotFoundException"), aws.DependencyFault),
        (ClientError({}, "Operation"), aws.DependencyFault),
        (client_error("RequestTimeout"), aws.DependencyUnavailable),  # S3, of a slow upload
        (NoCredentialsError(), aws.DependencyMisconfigured),
        (ReadTimeoutError(endpoint_url=URL), aws.DependencyTimeout),
        (EndpointConnectionError(endpoint_url=URL), aws.DependencyUnavailable),
        (IncompleteReadError(actual_bytes=1, expected_bytes=2), aws.DependencyUnavailable),
        (ConnectTimeoutError(endpoint_url=URL), aws.DependencyUnavailable),
        (ResponseParserError("secret"), aws.DependencyUnavailable),  # not a BotoCoreError
    ],
)
def test_each_error_becomes_one_of_this_modules_errors(error: Exception, kind: type[Exception]) -> None:
    with pytest.raises(kind) as raised, aws.calling("S3"):
        raise error

    assert type(raised.value) is kind
    assert raised.value.__cause__ is error
    assert "secret" not in str(raised.value)
    assert raised.value.service == "S3"  # type: ignore[attr-defined]


# What may pass by itself, of all that botocore raises. Anything else is for a person to mend.
MAY_PASS = {
    *("HTTPClientError", "ConnectionClosedError", "ReadTimeoutError", "ResponseStreamingError"),
    *("ConnectionError", "EndpointConnectionError", "ConnectTimeoutError", "ProxyConnectionError", "SSLError"),
    *("IncompleteReadError", "ChecksumError", "FlexibleChecksumError"),
    *("CredentialRetrievalError", "MetadataRetrievalError"),
    "CapacityNotAvailableError",
}
FOR_A_PERSON = {
    # Of the names and settings that the service was given.
    *("NoRegionError", "InvalidRegionError", "UnknownRegionError", "ServiceNotInRegionError", "UnknownEndpointError"),
    *("ProfileNotFound", "ConfigParseError", "ConfigNotFound", "InvalidConfigError", "InfiniteLoopConfigError"),
    *("NoCredentialsError", "PartialCredentialsError", "UnknownCredentialError", "NoAuthTokenError"),
    *("TokenRetrievalError", "UnknownTokenProviderError", "RefreshWithMFAUnsupportedError"),
    *("SSOError", "SSOTokenLoadError", "UnauthorizedSSOTokenError"),
    *("LoginError", "LoginRefreshRequired", "LoginInsufficientPermissions", "LoginTokenLoadError"),
    *("LoginAuthorizationCodeError", "InvalidIMDSEndpointError", "InvalidIMDSEndpointModeError"),
    *("ParamValidationError", "ValidationError", "RangeError", "UnknownKeyError", "UnknownParameterError"),
    *("AliasConflictParameterError", "MissingParametersError", "InvalidDNSNameError", "InvalidHostLabelError"),
    *("InvalidS3AddressingStyleError", "UnsupportedS3ArnError", "UnsupportedS3ControlArnError"),
    *("UnsupportedOutpostResourceError", "UnsupportedS3ConfigurationError", "UnsupportedS3ControlConfigurationError"),
    *("UnsupportedS3AccesspointConfigurationError", "InvalidS3UsEast1RegionalEndpointConfigError"),
    *("InvalidSTSRegionalEndpointsConfigError", "InvalidEndpointConfigurationError", "InvalidDefaultsMode"),
    "InvalidEndpointDiscoveryConfigurationError",
    *("InvalidRetryConfigurationError", "InvalidMaxRetryAttemptsError", "InvalidRetryModeError"),
    *("InvalidProxiesConfigError", "InvalidChecksumConfigError", "BaseEndpointResolverError", "EndpointVariantError"),
    *("UnknownFIPSEndpointError", "EndpointProviderError", "EndpointResolutionError"),
    *("UnknownSignatureVersionError", "UnsupportedSignatureVersionError", "UnsupportedServiceProtocolsError"),
    # Of the installation.
    *("DataNotFoundError", "UnknownServiceError", "ApiVersionNotFoundError", "MD5UnavailableError"),
    *("MissingDependencyException", "UnknownServiceStyle", "UnknownEndpointResolutionBuiltInName"),
    # Defects of our own code, or of our tests.
    *("BotoCoreError", "UnknownClientMethodError", "OperationNotPageableError", "PaginationError"),
    *("InvalidExpressionError", "UnseekableStreamError", "AwsChunkedWrapperError"),
    *("WaiterError", "WaiterConfigError", "StubResponseError", "StubAssertionError", "UnStubbedResponseError"),
}
ALL_OF_BOTOCORE = {
    name: kind
    for name, kind in vars(botocore).items()
    if inspect.isclass(kind) and issubclass(kind, BotoCoreError) and kind.__name__ == name
}


def test_every_error_of_botocore_is_sorted() -> None:
    """A new version of botocore may bring new ones: decide for each whether it may pass by itself."""
    assert not MAY_PASS & FOR_A_PERSON
    assert ALL_OF_BOTOCORE.keys() == MAY_PASS | FOR_A_PERSON


@pytest.mark.parametrize("name", sorted(ALL_OF_BOTOCORE))
def test_what_a_person_has_to_mend_is_no_failure_that_may_pass(name: str) -> None:
    error = ALL_OF_BOTOCORE[name].__new__(ALL_OF_BOTOCORE[name])
    with pytest.raises(aws.DependencyError) as raised, aws.calling("S3"):
        raise error

    assert isinstance(raised.value, aws.DependencyUnavailable) == (name in MAY_PASS)
    assert isinstance(raised.value, aws.DependencyMisconfigured) == (name in FOR_A_PERSON)
    assert name in str(raised.value)


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (ssl.SSLCertVerificationError("self-signed certificate"), aws.DependencyMisconfigured),
        (FileNotFoundError("/none"), aws.DependencyMisconfigured),  # AWS_CA_BUNDLE
        (ssl.SSLEOFError("EOF occurred in violation of protocol"), aws.DependencyUnavailable),
    ],
)
def test_a_certificate_that_is_not_trusted_is_for_a_person_but_other_failures_of_tls_may_pass(
    cause: Exception, kind: type[Exception]
) -> None:
    def fail() -> None:
        try:
            try:
                raise cause
            except Exception as inner:
                raise OSError("of the HTTP library") from inner
        except OSError as outer:
            raise SSLError(endpoint_url=URL, error=outer)  # noqa: B904 - as botocore does

    with pytest.raises(kind) as raised, aws.calling("S3"):
        fail()
    assert type(raised.value) is kind


@pytest.mark.parametrize(
    "code",
    sorted({*ThrottledRetryableChecker._THROTTLED_ERROR_CODES, *TransientRetryableChecker._TRANSIENT_ERROR_CODES}),
)
def test_a_refusal_that_botocore_itself_retries_may_pass(code: str) -> None:
    with pytest.raises(aws.DependencyUnavailable), aws.calling("S3"):
        raise client_error(code)


@pytest.mark.parametrize("error", [KeyError("x"), aws.DependencyUnavailable("S3", "x"), ValueError("x")])
def test_any_other_error_propagates_unchanged(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, aws.calling("SQS"):
        raise error

    assert raised.value is error


def test_a_call_that_succeeds_is_left_alone() -> None:
    with aws.calling("S3"):
        pass


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (client_error("ThrottlingException"), "S3 is not available: ThrottlingException"),
        (client_error("ThrottlingOfAnotherKind"), "S3 is not available: ThrottlingOfAnotherKind"),
        (client_error("InternalError", 500), "S3 is not available: InternalError (500)"),
        (client_error("AccessDenied", 403), "S3 refused: AccessDenied (403)"),
    ],
)
def test_an_error_says_which_service_gave_which_answer(error: ClientError, says: str) -> None:
    with pytest.raises(aws.DependencyError) as raised, aws.calling("S3"):
        raise error

    assert str(raised.value) == says
    assert raised.value.answer is error.response


def test_an_answer_without_a_code_or_status_has_neither() -> None:
    with pytest.raises(aws.DependencyFault) as raised, aws.calling("S3"):
        raise ClientError({}, "Operation")

    assert (raised.value.code, raised.value.status, raised.value.was_retried) == ("", 0, False)
    assert str(raised.value) == "S3 refused:  (0)"


def test_an_answer_that_means_something_to_the_domain_is_kept_whole() -> None:
    with pytest.raises(aws.DependencyFault) as raised, aws.calling("DynamoDB"):
        raise client_error("ConditionalCheckFailedException", 400, Item={"message_id": {"S": "1"}})

    assert (raised.value.code, raised.value.status) == ("ConditionalCheckFailedException", 400)
    assert raised.value.answer["Item"] == {"message_id": {"S": "1"}}


def test_the_error_of_a_call_with_wrong_parameters_shows_none_of_them() -> None:
    with pytest.raises(aws.DependencyMisconfigured) as raised, aws.calling("S3"):
        raise ParamValidationError(report="secret")

    assert "secret" not in str(raised.value)


class TestClients:
    @pytest.fixture
    def made(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
        """Every client that is made, in order."""
        made: list[tuple[str, Any]] = []

        class Session:
            get_config_variable = get_partition_for_region = get_component = Mock()

            def create_client(self, name: str, config: Any, **_: Any) -> object:
                made.append((name, config))
                return Mock()

        monkeypatch.undo()
        monkeypatch.setattr(aws, "_session", None)
        monkeypatch.setattr(aws, "Session", Session)
        monkeypatch.setattr(aws, "_clients", {})
        return made

    @pytest.mark.parametrize(
        ("error", "says"),
        [
            (ValueError("Invalid endpoint: nonsense"), "s3 cannot be called: its client cannot be made"),
            (botocore.NoRegionError(), "S3 cannot be called: NoRegionError"),
        ],
    )
    def test_one_that_cannot_be_made_is_for_a_person_to_mend(
        self, made: list[tuple[str, Any]], error: Exception, says: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(aws, "Session", Mock(return_value=Mock(create_client=Mock(side_effect=error))))

        with pytest.raises(aws.DependencyMisconfigured) as raised, aws.calling("S3"):
            aws.s3()
        assert str(raised.value) == says
        assert made == []

    def test_are_made_once_and_shared(self, made: list[tuple[str, Any]]) -> None:
        assert aws.s3() is aws.s3()
        assert aws.sqs() is aws.sqs()
        assert [name for name, _ in made] == ["s3", "sqs"]

    def test_a_client_that_another_thread_has_just_made_is_used(
        self, made: list[tuple[str, Any]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class MadeMeanwhile(dict[str, Any]):
            looks = 0

            def get(self, name: str, default: Any = None) -> Any:
                self.looks += 1
                return default if self.looks == 1 else f"the other thread's {name}"

        monkeypatch.setattr(aws, "_clients", MadeMeanwhile())

        assert aws.s3() == "the other thread's s3"
        assert made == []

    def test_can_be_made_before_they_are_needed(self, made: list[tuple[str, Any]]) -> None:
        aws.make_early([aws.s3, aws.dynamodb])
        early = list(made)
        aws.s3()

        assert [name for name, _ in early] == ["s3", "dynamodb"]
        assert made == early

    @pytest.mark.parametrize("error", [ValueError("Invalid endpoint: nonsense"), botocore.NoRegionError()])
    def test_one_that_cannot_be_made_early_is_reported_when_it_is_called(
        self, made: list[tuple[str, Any]], error: Exception, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(aws, "Session", Mock(return_value=Mock(create_client=Mock(side_effect=error))))

        aws.make_early([aws.s3])

        with pytest.raises(aws.DependencyMisconfigured), aws.calling("S3"):
            aws.s3()
        assert made == []

    def test_can_be_forgotten(self, made: list[tuple[str, Any]]) -> None:
        before = aws.ssm()
        aws.forget_clients()

        assert aws.ssm() is not before
        assert len(made) == 2

    def test_last_attempts_end_before_the_gateways_29_seconds(self, made: list[tuple[str, Any]]) -> None:
        for client in (aws.s3, aws.dynamodb, aws.sqs, aws.ssm, aws.stepfunctions):
            client()

        for _, config in made:
            attempt_s = config.connect_timeout + config.read_timeout
            assert attempt_s <= aws.ATTEMPT_MAX_S
            assert attempt_s + aws.CALLS_BEGIN_WITHIN_S < 29
            assert config.retries == {"mode": "standard", "total_max_attempts": 3}
            assert config.max_pool_connections >= 10, "as many as the consumer's threads"

    def test_a_call_that_its_caller_can_do_without_has_one_attempt_of_less_than_a_second(
        self, made: list[tuple[str, Any]]
    ) -> None:
        assert aws.hasty_dynamodb() is aws.hasty_dynamodb()
        assert aws.hasty_dynamodb() is not aws.dynamodb()

        (name, config), (_, patient) = made
        assert (name, config.connect_timeout, config.read_timeout) == ("dynamodb", 0.3, 0.5)
        assert config.retries == {"mode": "standard", "total_max_attempts": 1}
        assert config.max_pool_connections == patient.max_pool_connections
