"""Messages reach real brokers, are acknowledged, and repetitions can be recognised."""

import asyncio
import socket
from pathlib import Path

import aio_pika
import nats as nats_client
import pytest

from adapters.broker.publisher import broker_publisher, check_broker
from domain.errors import NotTaken
from tests.adapters.broker.publishing import AUTHORITIES, BODY, published
from tests.adapters.broker.servers import free_port, nats, needs, rabbitmq


@needs("nats-server")
async def test_nats_keeps_a_message_once_however_often_it_is_published(tmp_path: Path) -> None:
    async with nats(tmp_path) as url, broker_publisher(url, "users", AUTHORITIES) as publisher:
        client = await nats_client.connect(url)
        stream = client.jetstream()
        await stream.add_stream(name="changes", subjects=["users.>"])
        for _ in range(3):
            await publisher.publish("nats:7", "user_1", BODY)
        await publisher.publish("nats:8", "user_2", BODY, "00-0af7-b7ad-01")
        state = await stream.stream_info("changes")
        assert state.state.messages == 2
        message = await stream.get_msg("changes", 1)
        assert (message.subject, message.data) == ("users.user_1", BODY)
        assert message.headers is not None
        assert message.headers["Nats-Msg-Id"] == "nats:7"
        assert message.headers["content-type"] == "application/json"
        assert "traceparent" not in message.headers
        message = await stream.get_msg("changes", 2)
        assert message.headers is not None
        assert message.headers["traceparent"] == "00-0af7-b7ad-01"
        await client.close()


@needs("nats-server")
async def test_nats_without_a_stream_for_the_subject_does_not_take_a_message(
    tmp_path: Path,
) -> None:
    async with nats(tmp_path) as url, broker_publisher(url, "users", AUTHORITIES) as publisher:
        with pytest.raises(NotTaken):
            await publisher.publish("nats:7", "user_1", BODY)


@needs("nats-server")
async def test_a_stream_that_is_made_anew_under_another_name_is_found(tmp_path: Path) -> None:
    async with nats(tmp_path) as url, broker_publisher(url, "users", AUTHORITIES) as publisher:
        client = await nats_client.connect(url)
        stream = client.jetstream()
        await stream.add_stream(name="changes", subjects=["users.>"])
        await publisher.publish("nats:1", "user_1", BODY)
        await stream.delete_stream("changes")
        await stream.add_stream(name="renamed", subjects=["users.>"])
        await published(publisher)
        assert (await stream.stream_info("renamed")).state.messages == 1
        await client.close()


@pytest.mark.slow
@needs("rabbitmqctl")
async def test_rabbitmq_routes_by_user_and_refuses_what_no_queue_takes(tmp_path: Path) -> None:
    async with rabbitmq(tmp_path) as url, broker_publisher(url, "users", AUTHORITIES) as publisher:
        with pytest.raises(NotTaken):
            await publisher.publish("rabbit:6", "user_1", BODY)
        connection = await aio_pika.connect(url)
        channel = await connection.channel()
        queue = await channel.declare_queue("mails", durable=True)
        await queue.bind("users", routing_key="user_1")
        await publisher.publish("rabbit:7", "user_1", BODY, "00-0af7-b7ad-01")
        message = await queue.get(timeout=5)
        assert message is not None
        assert (message.body, message.message_id) == (BODY, "rabbit:7")
        assert message.headers["traceparent"] == "00-0af7-b7ad-01"
        assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
        await connection.close()


@pytest.mark.parametrize("scheme", ["nats", "amqp"])
async def test_a_broker_that_is_not_there_does_not_take_a_message(scheme: str) -> None:
    url = f"{scheme}://user:secret@127.0.0.1:{free_port()}/"
    async with broker_publisher(url, "users", AUTHORITIES, seconds=0.5) as publisher:
        with pytest.raises(NotTaken) as raised:
            await publisher.publish("x:1", "user_1", BODY)
        assert "secret" not in str(raised.value)


async def test_attempts_to_reach_rabbitmq_leave_no_connection_behind() -> None:
    """A new connection gets no answer, as behind a firewall that drops packets."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"amqp://127.0.0.1:{silent.getsockname()[1]}/"
        before = asyncio.all_tasks()
        async with broker_publisher(url, "users", AUTHORITIES, seconds=0.2) as publisher:
            for _ in range(3):
                with pytest.raises(NotTaken):
                    await publisher.publish("rabbit:1", "user_1", BODY)
        assert asyncio.all_tasks() == before


@needs("nats-server")
async def test_a_broker_that_comes_back_is_connected_to_again(tmp_path: Path) -> None:
    port = free_port()
    url = f"nats://127.0.0.1:{port}"
    async with broker_publisher(url, "users", AUTHORITIES, seconds=1) as publisher:
        for _ in range(2):
            async with nats(tmp_path, port):
                client = await nats_client.connect(url)
                stream = client.jetstream()
                await stream.add_stream(name="changes", subjects=["users.>"])
                await published(publisher)
                await client.close()
            with pytest.raises(NotTaken):
                await publisher.publish("nats:3", "user_1", BODY)


@pytest.mark.parametrize("url", ["kafka://a", "nats:", "http://a", "amqp://[::1", "amqp://"])
def test_what_is_no_broker_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="a broker is nats://"):
        check_broker(url)
