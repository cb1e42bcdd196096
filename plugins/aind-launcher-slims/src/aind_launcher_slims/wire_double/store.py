"""The double's records, in SQLite: what is written before an answer is cut off is written."""

import json
import sqlite3
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import time
from typing import Any

from aind_launcher_slims.wire_double.criteria import BadRequest, Values, matches, ordered


@dataclass(frozen=True)
class Table:
    """What the double knows of one of SLIMS's tables.

    :param prefix: what its columns begin with; others are refused, as a misspelt field should be.
    :param defaults: columns that each record has, with the value of one that was not given.
    :param dates: columns that are times, in milliseconds.
    :param quantities: columns with a unit, and the unit.
    :param type_name: a column of the record's type, the foreign key behind it, and the types' names.
    """

    prefix: str
    defaults: Mapping[str, Any]
    dates: tuple[str, ...] = ()
    quantities: Mapping[str, str] | None = None
    type_name: tuple[str, str, Mapping[int, str]] | None = None


_SESSION_FIELDS = (
    "fk_content",
    "fk_instrument",
    "fk_contentEventType",
    "cf_notes",
    "cf_task",
    "cf_taskStage",
    "cf_stageIsOnCurriculum",
    "cf_taskSchemaVersion",
    "cf_softwareVersion",
    "cf_scheduledDate",
)

TABLES: Mapping[str, Table] = {
    "ContentEvent": Table(
        "cnvn_",
        {f"cnvn_{name}": None for name in _SESSION_FIELDS} | {"cnvn_cf_fk_trainer": []},
        dates=("cnvn_cf_scheduledDate",),
        type_name=("cnvt_name", "cnvn_fk_contentEventType", {10: "Behavior Session"}),
    ),
    "Content": Table(
        "cntn_",
        {
            "cntn_barCode": None,
            "cntn_id": None,
            "cntn_fk_status": 28,
            "cntn_fk_contentType": 5,
            "cntn_cf_baselineWeight": None,
            "cntn_cf_scientificPointOfContact": None,
            "cntn_cf_waterRestricted": None,
        },
        quantities={"cntn_cf_baselineWeight": "g"},
        type_name=("cntp_name", "cntn_fk_contentType", {5: "Mouse"}),
    ),
    "Instrument": Table("nstr_", {"nstr_name": None}),
    "ReferenceDataRecord": Table(
        "rdrc_",
        {"rdrc_name": None, "rdrc_fk_referenceDataType": 1},
        type_name=("rdty_name", "rdrc_fk_referenceDataType", {1: "AIND Instruments"}),
    ),
    "User": Table("user_", {f"user_{n}": None for n in ("userName", "firstName", "lastName", "fullName", "email")}),
    "Attachment": Table("attm_", {"attm_name": None}),
}


@dataclass(frozen=True)
class StoredAttachment:
    """An attachment as the double keeps it."""

    pk: int
    name: str
    content: bytes


class Store:
    """Records by table, and the attachments of records."""

    def __init__(self, database: Path | None = None) -> None:
        self._lock = threading.RLock()
        self._database = sqlite3.connect(database or ":memory:", check_same_thread=False)
        self._database.executescript(
            """
            CREATE TABLE IF NOT EXISTS record (pk INTEGER PRIMARY KEY, in_table TEXT, content TEXT);
            CREATE TABLE IF NOT EXISTS attachment (
                pk INTEGER PRIMARY KEY, of_table TEXT, of_pk INTEGER, name TEXT, created_on INTEGER, content BLOB);
            """
        )

    def close(self) -> None:
        with self._lock:
            self._database.close()

    def add(self, table: str, values: Values) -> Values:
        """Write a new record; the answer has its key and every column.

        :raises BadRequest: the table or a column is unknown.
        """
        known = _table(table)
        created = {f"{known.prefix}createdOn": _milliseconds()}
        content = {**known.defaults, **_writable(known, values), **created}
        with self._lock, self._database:
            insert = "INSERT INTO record (in_table, content) VALUES (?, ?)"
            pk = self._database.execute(insert, (table, json.dumps(content))).lastrowid
        return _complete(known, pk or 0, content)

    def update(self, table: str, pk: int, values: Values) -> Values | None:
        """Change some columns of a record; None where there is no such record."""
        known = _table(table)
        with self._lock, self._database:
            row = self._row(table, pk)
            if row is None:
                return None
            modified = {f"{known.prefix}modifiedOn": _milliseconds()}
            content = {**json.loads(row), **_writable(known, values), **modified}
            self._database.execute("UPDATE record SET content = ? WHERE pk = ?", (json.dumps(content), pk))
        return _complete(known, pk, content)

    def remove(self, table: str, pk: int) -> bool:
        with self._lock, self._database:
            query = "DELETE FROM attachment WHERE pk = ?"
            if table != "Attachment":
                query = "DELETE FROM record WHERE pk = ?"
            return self._database.execute(query, (pk,)).rowcount > 0

    def get(self, table: str, pk: int) -> Values | None:
        with self._lock:
            row = self._row(table, pk)
        return None if row is None else _complete(_table(table), pk, json.loads(row))

    def fetch(self, table: str, query: Mapping[str, Any] | None = None) -> list[Values]:
        """The records that fulfil a query as the client sends it.

        :param query: ``criteria``, ``sortBy``, ``startRow`` and ``endRow``, all optional.
        """
        known = _table(table)
        select = "SELECT pk, content FROM record WHERE in_table = ? ORDER BY pk"
        with self._lock:
            rows = self._database.execute(select, (table,)).fetchall()
        return _selected(known, [_complete(known, pk, json.loads(content)) for pk, content in rows], query)

    def attach(self, table: str, pk: int, name: str, content: bytes) -> int | None:
        """Add an attachment to a record and tell its key; None where there is no such record."""
        with self._lock, self._database:
            if self._row(table, pk) is None:
                return None
            insert = "INSERT INTO attachment (of_table, of_pk, name, created_on, content) VALUES (?, ?, ?, ?, ?)"
            return self._database.execute(insert, (table, pk, name, _milliseconds(), content)).lastrowid

    def fetch_attachments(self, table: str, pk: int, query: Mapping[str, Any] | None = None) -> list[Values]:
        select = "SELECT pk, name, created_on FROM attachment WHERE of_table = ? AND of_pk = ? ORDER BY pk"
        with self._lock:
            rows = self._database.execute(select, (table, pk)).fetchall()
        known = _table("Attachment")
        records = [_complete(known, pk, {"attm_name": name, "attm_createdOn": on}) for pk, name, on in rows]
        return _selected(known, records, query)

    def attachments(self, table: str, pk: int) -> list[StoredAttachment]:
        """The attachments of a record, with their content, oldest first."""
        select = "SELECT pk, name, content FROM attachment WHERE of_table = ? AND of_pk = ? ORDER BY pk"
        with self._lock:
            return [StoredAttachment(*row) for row in self._database.execute(select, (table, pk))]

    def content(self, attachment: int) -> bytes | None:
        with self._lock:
            row = self._database.execute("SELECT content FROM attachment WHERE pk = ?", (attachment,)).fetchone()
        return None if row is None else bytes(row[0])

    def _row(self, table: str, pk: int) -> str | None:
        select = "SELECT content FROM record WHERE in_table = ? AND pk = ?"
        row = self._database.execute(select, (table, pk)).fetchone()
        return None if row is None else str(row[0])


def entity(table: str, values: Values) -> dict[str, Any]:
    """A record as SLIMS sends it: its key, its table, and its columns with their types."""
    known = _table(table)
    columns = [
        {"name": name, "title": name, "position": position, "hidden": False, "editable": True, "value": value}
        | _datatype(known, name, value)
        for position, (name, value) in enumerate(values.items())
    ]
    return {"pk": values[f"{known.prefix}pk"], "tableName": table, "columns": columns, "canUpdate": True, "links": []}


def _datatype(table: Table, name: str, value: Any) -> dict[str, Any]:
    if table.quantities and name in table.quantities:
        return {"datatype": "QUANTITY", "unit": table.quantities[name]}
    if name in table.dates or name.endswith(("_createdOn", "_modifiedOn")):
        return {"datatype": "DATE", "subType": "datetime", "dateFormat": "MM/dd/yyyy HH:mm:ss", "timeZone": "UTC"}
    if "_fk_" in name:
        return {"datatype": "FOREIGN_KEY_MULTIPLE" if isinstance(value, list) else "FOREIGN_KEY"}
    types = {bool: "BOOLEAN", int: "INTEGER", float: "FLOAT"}
    return {"datatype": types.get(type(value), "STRING")}


def _table(name: str) -> Table:
    if name not in TABLES:
        raise BadRequest(f"Unknown table: {name}")
    return TABLES[name]


def _writable(table: Table, values: Values) -> dict[str, Any]:
    """`values` as they are kept. The client also sends fields of its own that are null, which SLIMS ignores."""
    own = {f"{table.prefix}{name}" for name in ("pk", "createdOn", "modifiedOn")}
    if strangers := [name for name, v in values.items() if not name.startswith(table.prefix) and v is not None]:
        raise BadRequest(f"Unknown field: {strangers[0]}")
    kept = {name: value for name, value in values.items() if name.startswith(table.prefix) and name not in own}
    return {name: v["amount"] if isinstance(v, dict) and "amount" in v else v for name, v in kept.items()}


def _complete(table: Table, pk: int, content: Values) -> Values:
    joined = {}
    if table.type_name:
        name, key, names = table.type_name
        joined[name] = names.get(content.get(key) or 0)
    return {f"{table.prefix}pk": pk, **content, **joined}


def _selected(table: Table, records: list[Values], query: Mapping[str, Any] | None) -> list[Values]:
    query = query or {}
    criteria = query.get("criteria") or {"operator": "and", "criteria": []}
    times = {f"{table.prefix}{name}": None for name in ("createdOn", "modifiedOn")}
    blank: dict[str, Any] = {**_complete(table, 0, {**table.defaults, **times})}
    # Custom fields are known once any record has them.
    blank.update({name: None for values in records for name in values if name not in blank})
    matches(criteria, blank)  # refuses an unknown field also where there is nothing to find
    found = [values for values in ({**blank, **values} for values in records) if matches(criteria, values)]
    return ordered(found, query.get("sortBy") or (), query.get("startRow"), query.get("endRow"))


def _milliseconds() -> int:
    return int(time() * 1000)
