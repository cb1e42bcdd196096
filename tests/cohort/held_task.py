"""The demo's simulated task, which waits for the simulation before it begins: `held_task.py PORT TASK ARGUMENTS`."""

import runpy
import socket
import sys

if __name__ == "__main__":
    _, port, *sys.argv = sys.argv
    with socket.create_connection(("127.0.0.1", int(port))) as door:
        # Also where the simulation closes the door: a task goes on when its launcher is killed.
        door.recv(1)
    runpy.run_path(sys.argv[0], run_name="__main__")
