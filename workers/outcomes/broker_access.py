"""How aiokafka, Faust's client, reaches a cluster that librdkafka's options describe."""

import ssl
from collections.abc import Mapping

from faust import auth

from workers.errors import ConfigurationError

_KNOWN = {
    "security.protocol",
    "sasl.mechanism",
    "sasl.mechanisms",
    "sasl.username",
    "sasl.password",
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.key.location",
    "ssl.key.password",
    "ssl.endpoint.identification.algorithm",
    "enable.ssl.certificate.verification",
}
_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


def credentials(options: Mapping[str, str]) -> auth.Credentials | None:
    """Return the credentials that options ask for; None for a cluster that asks for none.

    Args:
        options: SECONDSIGHT_KAFKA_OPTIONS, checked by librdkafka.

    Raises:
        ConfigurationError: an option has no counterpart in aiokafka, or a file cannot be read.
    """
    if unknown := sorted(set(options) - _KNOWN):
        raise ConfigurationError(
            f"SECONDSIGHT_KAFKA_OPTIONS: the outcomes worker's client has no counterpart of "
            f"{', '.join(unknown)}; it knows {', '.join(sorted(_KNOWN))}. Set other options for "
            f"the other workers only"
        )
    protocol = options.get("security.protocol", "plaintext").upper()
    context = _context(options) if protocol.endswith("SSL") else None
    if not protocol.startswith("SASL"):
        return None if context is None else auth.SSLCredentials(context)
    mechanism = options.get("sasl.mechanism", options.get("sasl.mechanisms", "GSSAPI"))
    if mechanism not in _MECHANISMS:
        raise ConfigurationError(
            f"SECONDSIGHT_KAFKA_OPTIONS: the outcomes worker does not know sasl.mechanism "
            f"{mechanism}; it knows {', '.join(_MECHANISMS)}"
        )
    return auth.SASLCredentials(
        username=options.get("sasl.username", ""),
        password=options.get("sasl.password", ""),
        mechanism=mechanism,
        ssl_context=context,
    )


def _context(options: Mapping[str, str]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=options.get("ssl.ca.location"))
        if certificate := options.get("ssl.certificate.location"):
            context.load_cert_chain(
                certificate,
                options.get("ssl.key.location"),
                # Never asked for on a terminal, as it would be for None.
                options.get("ssl.key.password", ""),
            )
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"SECONDSIGHT_KAFKA_OPTIONS: a certificate cannot be used: {error}"
        ) from error
    verified = options.get("enable.ssl.certificate.verification", "true") == "true"
    if not verified or options.get("ssl.endpoint.identification.algorithm") == "none":
        context.check_hostname = False
    if not verified:
        context.verify_mode = ssl.CERT_NONE
    return context
