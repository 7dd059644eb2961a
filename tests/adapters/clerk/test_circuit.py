import pytest

from adapters.clerk.api.circuit import CircuitBreaker
from tests.adapters.clerk.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def circuit(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(clock=clock)


def fail(circuit: CircuitBreaker, times: int) -> None:
    for _ in range(times):
        circuit.failed()


def test_four_failures_leave_it_closed(circuit: CircuitBreaker) -> None:
    fail(circuit, 4)
    assert circuit.wait() == 0


def test_five_failures_within_ten_seconds_open_it(circuit: CircuitBreaker, clock: Clock) -> None:
    fail(circuit, 1)
    clock.pass_seconds(10)
    fail(circuit, 4)
    assert circuit.wait() == 5


def test_five_failures_over_a_longer_time_do_not(circuit: CircuitBreaker, clock: Clock) -> None:
    fail(circuit, 1)
    clock.pass_seconds(10.1)
    fail(circuit, 4)
    assert circuit.wait() == 0


def test_a_success_resets_the_count(circuit: CircuitBreaker) -> None:
    fail(circuit, 4)
    circuit.succeeded()
    fail(circuit, 4)
    assert circuit.wait() == 0


def test_after_the_pause_one_call_may_try(circuit: CircuitBreaker, clock: Clock) -> None:
    circuit.trip()
    clock.pass_seconds(5)
    assert circuit.wait() == 0
    circuit.entered()
    assert circuit.wait() == 5


def test_the_probe_that_succeeds_closes_it(circuit: CircuitBreaker, clock: Clock) -> None:
    circuit.trip()
    clock.pass_seconds(5)
    circuit.entered()
    circuit.succeeded()
    circuit.entered()
    assert circuit.wait() == 0


def test_the_probe_that_fails_keeps_it_open(circuit: CircuitBreaker, clock: Clock) -> None:
    circuit.trip()
    clock.pass_seconds(7)
    circuit.entered()
    clock.pass_seconds(1)
    circuit.failed()
    assert circuit.wait() == 5


def test_the_probe_that_never_returns_is_followed_by_another(
    circuit: CircuitBreaker, clock: Clock
) -> None:
    circuit.trip()
    clock.pass_seconds(5)
    circuit.entered()
    clock.pass_seconds(5)
    assert circuit.wait() == 0


def test_a_server_that_names_a_time_is_left_alone_until_then(
    circuit: CircuitBreaker, clock: Clock
) -> None:
    circuit.hold(20)
    clock.pass_seconds(19)
    assert circuit.wait() == 1
    clock.pass_seconds(1)
    assert circuit.wait() == 0


def test_a_shorter_time_does_not_undo_a_longer_one(circuit: CircuitBreaker) -> None:
    circuit.hold(20)
    circuit.hold(1)
    assert circuit.wait() == 20


def test_no_server_stops_us_for_a_day(circuit: CircuitBreaker) -> None:
    circuit.hold(86_400)
    assert circuit.wait() == 60


def test_it_is_failing_until_a_success(circuit: CircuitBreaker) -> None:
    assert not circuit.is_failing
    circuit.trip()
    assert circuit.is_failing
    circuit.succeeded()
    assert not circuit.is_failing


def test_a_minute_after_the_last_failure_it_is_no_longer_said_to_be(
    circuit: CircuitBreaker, clock: Clock
) -> None:
    circuit.trip()
    clock.pass_seconds(40)
    circuit.failed()
    clock.pass_seconds(59)
    assert circuit.is_failing
    clock.pass_seconds(1)
    assert not circuit.is_failing
    circuit.failed()
    assert circuit.is_failing
