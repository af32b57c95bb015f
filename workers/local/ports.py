"""The ports of the one-machine Kafka."""

import socket

from workers.errors import ConfigurationError

LOOPBACK = "127.0.0.1"


def choose_ports(named: int | None) -> tuple[int, int]:
    """Return a port for clients (`named`, or any free one) and a free one for the controller.

    Raises:
        ConfigurationError: the named port is in use, or may not be used.
    """
    with socket.socket() as clients, socket.socket() as controller:
        # As Java does it: a port on which a connection was closed a moment ago is free.
        clients.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            clients.bind((LOOPBACK, named or 0))
        except OSError as error:
            raise ConfigurationError(
                f"Kafka cannot listen on port {named} of {LOOPBACK}: {error.strerror}. Stop the "
                "program that uses the port, or name another one with --port."
            ) from error
        controller.bind((LOOPBACK, 0))
        return clients.getsockname()[1], controller.getsockname()[1]
