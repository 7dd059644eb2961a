"""Connections to brokers: encrypted where the address says so, and made anew when one has ended."""

import asyncio
import ssl
from pathlib import Path

import nats as nats_client
import pytest

from adapters.broker.publisher import broker_publisher
from domain.errors import NotTaken
from tests.adapters.broker.impostors import ENDED, nats_impostor, rabbit_impostor
from tests.adapters.broker.publishing import AUTHORITIES, BODY, published
from tests.adapters.broker.servers import free_port, nats, needs
from tests.adapters.postgres.certificates import Certificates, certificates_in


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return certificates_in(tmp_path, "localhost")


def trusting(root: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=root)


async def test_a_nats_server_that_does_not_demand_tls_hears_nothing_of_a_tls_address() -> None:
    """This fails too if a release of nats-py no longer calls the method that we override."""
    async with nats_impostor() as server:
        host = server.url.removeprefix("nats://")
        async with broker_publisher(f"tls://me:secret@{host}", "users", AUTHORITIES) as publisher:
            with pytest.raises(NotTaken, match="Unencrypted"):
                await publisher.publish("nats:1", "user_1", BODY)
        assert server.heard == []
        async with broker_publisher(server.url, "users", AUTHORITIES, seconds=1) as publisher:
            with pytest.raises(NotTaken):
                await publisher.publish("nats:1", "user_1", BODY)
        assert server.heard != []


@needs("nats-server")
async def test_nats_is_encrypted_for_the_authorities_of_our_settings(
    tmp_path: Path, certificates: Certificates
) -> None:
    files = ("--tlscert", str(certificates.server), "--tlskey", str(certificates.server_key))
    port = free_port()
    async with nats(tmp_path, port, "--tls", *files):
        url, known = f"tls://localhost:{port}", trusting(certificates.root)
        client = await nats_client.connect(url, tls=known)
        await client.jetstream().add_stream(name="changes", subjects=["users.>"])
        async with broker_publisher(url, "users", known) as publisher:
            await publisher.publish("nats:1", "user_1", BODY)
        unknown = trusting(certificates.other_root)
        async with broker_publisher(url, "users", unknown, seconds=2) as publisher:
            with pytest.raises(NotTaken):
                await publisher.publish("nats:2", "user_1", BODY)
        assert (await client.jetstream().stream_info("changes")).state.messages == 1
        await client.close()


async def test_rabbitmq_is_encrypted_for_the_authorities_of_our_settings_or_of_its_address(
    certificates: Certificates,
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificates.server, certificates.server_key)
    async with rabbit_impostor(tls) as server:
        known, unknown = trusting(certificates.root), trusting(certificates.other_root)
        its_own = f"{server.url}?cafile={certificates.root}"
        for url, authorities in ((server.url, known), (its_own, unknown)):
            async with broker_publisher(url, "users", authorities) as publisher:
                await publisher.publish("rabbit:1", "user_1", BODY)
        async with broker_publisher(server.url, "users", unknown) as publisher:
            with pytest.raises(NotTaken):
                await publisher.publish("rabbit:2", "user_1", BODY)
        assert server.taken == [BODY, BODY]


@needs("nats-server")
async def test_nats_that_ended_the_connection_with_an_error_is_connected_to_again(
    tmp_path: Path,
) -> None:
    port = free_port()
    async with broker_publisher(
        f"nats://127.0.0.1:{port}", "users", AUTHORITIES, seconds=2
    ) as publisher:
        async with nats_impostor(port, ENDED):
            with pytest.raises(NotTaken):
                await publisher.publish("nats:1", "user_1", BODY)
        async with nats(tmp_path, port) as url:
            client = await nats_client.connect(url)
            await client.jetstream().add_stream(name="changes", subjects=["users.>"])
            await published(publisher)
            await client.close()


async def test_a_channel_that_rabbitmq_closed_and_refused_to_open_again_is_made_anew() -> None:
    async with (
        rabbit_impostor() as server,
        broker_publisher(server.url, "users", AUTHORITIES, seconds=2) as publisher,
    ):
        await publisher.publish("rabbit:1", "user_1", BODY)
        server.refuses = True
        async with asyncio.timeout(10):
            while "Exchange.Declare" not in server.refused:
                with pytest.raises(NotTaken):
                    await publisher.publish("rabbit:2", "user_1", BODY)
                await asyncio.sleep(0.01)
        server.refuses = False
        await published(publisher)
        assert server.taken == [BODY, BODY]
