"""Which tests `make verify` runs against a deployed stage, and which it leaves out."""

from __future__ import annotations

SUITE = (
    "tests/e2e/test_answers.py",
    "tests/e2e/test_bad_input.py",
    "tests/e2e/test_browser.py::TestBothPipelines",
    "tests/e2e/test_corrections.py",
    "tests/e2e/test_correlation.py",
    "tests/e2e/test_dragons.py",
    "tests/e2e/test_generated_client.py",
    "tests/e2e/test_messages.py",
    "tests/e2e/test_postman.py",
    "tests/proof/test_attack_surface.py::TestAnswers",
    "tests/verify/test_known_differences.py",
)
# Of the end-to-end tests and the proofs, what is not for a deployed stage, and why.
LEFT_OUT = {
    "tests/e2e/test_api_page.py": "the examples of docs/api.md are for the people and dragons of `make run`",
    "tests/e2e/test_chalice_local.py": "it is about this machine",
    "tests/e2e/test_dead_letters.py": "it redrives and deletes dead letters, of which some may be other people's",
    "tests/e2e/test_deploying_again.py": "it deploys",
    "tests/e2e/test_devstack.py": "it is about this machine",
    "tests/e2e/test_diff.py": "it is about a stage that does not exist",
    "tests/e2e/test_dragon_homes.py": "it moves the registry, which is everybody's",
    "tests/e2e/test_forgetting_and_restoring.py": "it restores the stores, and with them what others have written",
    "tests/e2e/test_local_server.py": "it is about this machine",
    "tests/e2e/test_logs.py": "it is about what this machine writes down",
    "tests/e2e/test_operators.py": "it redrives and deletes dead letters, of which some may be other people's",
    "tests/e2e/test_operators_commands.py": "it is about this machine",
    "tests/e2e/test_removing_a_stage.py": "it removes a stage",
    "tests/e2e/test_schemathesis.py": "it makes names up, and corrects and removes the dragons that have them",
    "tests/e2e/test_trace_and_status.py": "it makes dead letters, and its commands are for the devstack's stage",
    "tests/proof/test_api_under_faults.py": "it stands between the service and an AWS that it breaks",
    "tests/proof/test_concurrent_reports.py": "it lets many writers race for the registry, and kills some of them",
    "tests/proof/test_fault_proxy.py": "it is about this machine",
    "tests/proof/test_input_fuzzing.py": "it sends thousands of requests, most of them to the app in this folder",
    "tests/proof/test_least_privilege.py": "it takes permissions away",
    "tests/proof/test_load.py": "it is about how much a machine can take",
    "tests/proof/test_messages_under_fire.py": "it kills the consumer, and breaks its AWS",
    "tests/proof/test_prods_life.py": "it removes a stage",
    "tests/proof/test_releases.py": "it deploys",
    "tests/proof/test_restart_and_recovery.py": "it is about this machine",
    "tests/proof/test_tenants.py": "it makes users of its own, and times answers, which a network blurs",
    "tests/proof/test_tokens.py": "it forges tokens with the pool's own keys, which AWS gives nobody",
    "tests/proof/test_upgrade.py": "it deploys",
    "tests/proof/test_verify.py": "it is about this",
}
