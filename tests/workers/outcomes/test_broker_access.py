"""Options of librdkafka as credentials of aiokafka."""

import ssl
from pathlib import Path
from typing import Any

import pytest
from faust.types.auth import AuthProtocol, SASLMechanism

from workers.errors import ConfigurationError
from workers.outcomes.broker_access import credentials as of_options


def credentials(options: dict[str, str]) -> Any:
    """Return what Faust is given, whose kinds have attributes of their own."""
    return of_options(options)


def test_a_cluster_that_asks_for_nothing_gets_nothing() -> None:
    assert credentials({}) is None
    assert credentials({"security.protocol": "plaintext"}) is None


def test_a_name_and_a_password_over_tls() -> None:
    found = credentials(
        {
            "security.protocol": "SASL_SSL",
            "sasl.mechanisms": "SCRAM-SHA-512",
            "sasl.username": "me",
            "sasl.password": "secret",
        }
    )
    assert found is not None
    assert found.protocol is AuthProtocol.SASL_SSL
    assert found.mechanism is SASLMechanism.SCRAM_SHA_512
    assert (found.username, found.password) == ("me", "secret")
    assert found.ssl_context.check_hostname
    assert found.ssl_context.verify_mode is ssl.CERT_REQUIRED


def test_a_name_and_a_password_in_plain() -> None:
    found = credentials({"security.protocol": "sasl_plaintext", "sasl.mechanism": "PLAIN"})
    assert found is not None
    assert (found.protocol, found.ssl_context) == (AuthProtocol.SASL_PLAINTEXT, None)


def test_tls_without_checks_where_that_is_asked_for() -> None:
    named = credentials(
        {"security.protocol": "ssl", "ssl.endpoint.identification.algorithm": "none"}
    )
    assert named is not None
    assert named.protocol is AuthProtocol.SSL
    assert not named.context.check_hostname
    assert named.context.verify_mode is ssl.CERT_REQUIRED
    none = credentials({"security.protocol": "ssl", "enable.ssl.certificate.verification": "false"})
    assert none is not None
    assert none.context.verify_mode is ssl.CERT_NONE


def test_what_has_no_counterpart_is_refused_by_name_and_no_value_is_told() -> None:
    with pytest.raises(
        ConfigurationError, match=r"no counterpart of linger\.ms, ssl\.crl\.location"
    ):
        credentials({"linger.ms": "5", "ssl.crl.location": "/x", "sasl.password": "secret"})
    with pytest.raises(ConfigurationError, match=r"does not know sasl\.mechanism GSSAPI"):
        credentials({"security.protocol": "SASL_PLAINTEXT"})


def test_a_certificate_that_cannot_be_read_is_a_wrong_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="a certificate cannot be used"):
        credentials({"security.protocol": "ssl", "ssl.ca.location": str(tmp_path / "none.pem")})
    (tmp_path / "bad.pem").write_text("no certificate")
    with pytest.raises(ConfigurationError, match="a certificate cannot be used"):
        credentials(
            {"security.protocol": "ssl", "ssl.certificate.location": str(tmp_path / "bad.pem")}
        )
