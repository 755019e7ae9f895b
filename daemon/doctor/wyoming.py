"""Check of the Wyoming service: whether it runs, or could be started."""

import socket

from config.errors import AfterwordError, MissingPackageError
from config.settings import Settings
from daemon.doctor.finding import Finding, fault

NAME = "Wyoming"


def wyoming(_: Settings) -> Finding:
    """Check the service that runs; else its library and its port. It is no fault to have none."""
    from daemon.control import client
    from daemon.wyoming.library import check_library

    try:
        status = client.wyoming_status()
        if status is None:
            check_library()
            return _port()
    except MissingPackageError as error:
        return Finding(NAME, "ok", "not in use", str(error))
    except AfterwordError as error:
        return fault(NAME, error)
    seen = f"serves {', '.join(status['services'])} at {status['address']}"
    if status["refused"]:
        remedy = "mend it, then `afterword reload`"
        return Finding(NAME, "warning", f"{seen}, not as set: {status['refused']}", remedy)
    return Finding(NAME, "ok", f"{seen}, {status['clients']} clients")


def _port() -> Finding:
    from daemon.systemd import unit
    from daemon.wyoming.address import DEFAULT_PORT

    is_installed = unit.WYOMING in unit.installed()
    with socket.socket() as probe:
        try:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as asyncio listens
            probe.bind(("127.0.0.1", DEFAULT_PORT))
        except OSError:
            seen = f"does not run, and another program listens at port {DEFAULT_PORT}"
            remedy = f"`afterword wyoming --uri tcp://127.0.0.1:{DEFAULT_PORT + 1}`"
            return Finding(NAME, "warning" if is_installed else "ok", seen, remedy)
    return Finding(NAME, "ok", f"does not run; port {DEFAULT_PORT} is free")
