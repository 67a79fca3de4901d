import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from service.kit.embedded_postgres import PRIVACY_OPTIONS, EmbeddedPostgres, Keeper


@pytest.fixture
def own_server(tmp_path):
    server = EmbeddedPostgres(tmp_path / "local")
    yield server
    server.stop()
    shutil.rmtree(server.home, ignore_errors=True)


def test_it_starts_stops_and_keeps_its_data(own_server):
    url = own_server.start()
    assert url == own_server.url()
    own_server.psql("create table kept (x int); insert into kept values (7)")
    assert own_server.start() == url
    assert own_server.stop() is True
    assert own_server.stop() is False
    assert not own_server.is_ready()
    own_server.start()
    assert own_server.psql("select x from kept").strip() == "7"


def test_only_its_owner_reaches_the_socket(own_server):
    own_server.start()
    mode = (own_server.socket_dir / ".s.PGSQL.5432").stat().st_mode
    assert mode & 0o077 == 0
    assert own_server.psql("show listen_addresses").strip() == ""


def test_it_recovers_from_a_kill(own_server):
    own_server.start()
    own_server.psql("create table kept (x int); insert into kept select generate_series(1, 1000)")
    pid = int((own_server.data / "postmaster.pid").read_text().splitlines()[0])
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.2)
    own_server.start()
    assert own_server.psql("select count(*) from kept").strip() == "1000"


def test_two_processes_may_start_it_at_once(own_server, tmp_path):
    code = (
        "import sys; from pathlib import Path; from service.kit.embedded_postgres import EmbeddedPostgres;"
        "print(EmbeddedPostgres(Path(sys.argv[1])).start())"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "local")]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    outputs = [child.communicate(timeout=60) for child in children]
    assert [child.returncode for child in children] == [0, 0], outputs
    assert outputs[0][0] == outputs[1][0]


def test_it_survives_the_process_that_started_it(own_server, tmp_path):
    code = (
        "import sys; from pathlib import Path; from service.kit.embedded_postgres import EmbeddedPostgres;"
        "EmbeddedPostgres(Path(sys.argv[1])).start()"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "local")], check=True, timeout=60)
    assert own_server.is_ready()


def test_a_data_folder_of_before_is_started_with_todays_privacy(own_server):
    own_server.start()
    own_server.psql("alter system set wal_recycle = on")
    own_server.stop()
    own_server.start()
    assert [own_server.psql(f"show {name}").strip() for name in PRIVACY_OPTIONS] == list(PRIVACY_OPTIONS.values())


def test_it_is_kept_running_but_for_a_stop_on_purpose(own_server):
    own_server.start()
    own_server.psql("create table kept (x int); insert into kept values (7)")
    with Keeper(own_server, 0.1):
        os.kill(int((own_server.data / "postmaster.pid").read_text().splitlines()[0]), signal.SIGKILL)
        time.sleep(0.2)
        deadline = time.monotonic() + 60
        while not own_server.is_ready():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert own_server.psql("select x from kept").strip() == "7"
        own_server.stop()
        time.sleep(0.5)
        assert not own_server.is_listening()
    assert own_server.start() == own_server.url()
    assert not own_server.is_stopped_on_purpose
