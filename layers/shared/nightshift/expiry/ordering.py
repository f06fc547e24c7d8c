"""Orders the policies of one run.

A policy's turn changes rows of others: ON DELETE SET NULL and SET DEFAULT empty their references, and a row that
depends on two expired rows is deleted with the first of them. So a policy that archives comes before those that would
change its rows, or delete them without an archive; otherwise the order is that of the file. Refusing such policies, as
cleanup does, was rejected: there is nothing for an operator to decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from nightshift.errors import NightshiftError
from nightshift.expiry.discovery import CascadeDiscovery
from nightshift.expiry.graph import CascadeGraph, ReferenceEdge
from nightshift.guards import GuardRefused
from nightshift.policy.expiry import ExpiryPolicy
from nightshift.settings import Settings


@dataclass(frozen=True, slots=True)
class OrderedPolicy:
    """A policy whose turn it is; `warnings` name rows of later policies that lose references by it in any order."""

    policy: ExpiryPolicy
    warnings: tuple[str, ...] = ()


def order_policies(
    connection: Connection, policies: Sequence[ExpiryPolicy], settings: Settings
) -> tuple[OrderedPolicy, ...]:
    """Return the policies, those that archive before those that would change or delete their rows."""
    if len(policies) == 1 or not any(policy.archive for policy in policies):
        return tuple(map(OrderedPolicy, policies))
    waiting = [(policy, _cascade(connection, policy, settings)) for policy in policies]
    ordered: list[OrderedPolicy] = []
    while waiting:
        free = [entry for entry in waiting if not any(_comes_before(other, entry, waiting) for other in waiting)]
        policy, cascade = free[0] if free else waiting[0]
        waiting.remove((policy, cascade))
        lost = [(other, edge) for other, below in waiting for edge in _dissolved(cascade, other, below)]
        ordered.append(OrderedPolicy(policy, tuple(_sentence(other, edge) for other, edge in lost)))
    return tuple(ordered)


_PolicyCascade = tuple[ExpiryPolicy, CascadeGraph | None]


def _cascade(connection: Connection, policy: ExpiryPolicy, settings: Settings) -> CascadeGraph | None:
    """The cascade of the policy's table; None where its turn will be refused, or fail."""
    try:
        return CascadeDiscovery(connection, policy, settings).discover_cascade()
    except (GuardRefused, NightshiftError, DBAPIError):
        return None
    finally:
        connection.rollback()


def _comes_before(entry: _PolicyCascade, other: _PolicyCascade, waiting: Sequence[_PolicyCascade]) -> bool:
    """Returns whether `entry` has to have its turn before `other`."""
    (policy, cascade), (other_policy, other_cascade) = entry, other
    if entry is other or cascade is None or other_cascade is None:
        return False
    if cascade.root == other_cascade.root:
        return waiting.index(entry) < waiting.index(other)  # the second is refused
    if not policy.archive:
        return False
    shared = bool(cascade.nodes.keys() & other_cascade.nodes.keys())
    return (shared and not other_policy.archive) or bool(_dissolved(other_cascade, policy, cascade))


def _dissolved(cascade: CascadeGraph | None, other: ExpiryPolicy, below: CascadeGraph | None) -> list[ReferenceEdge]:
    """The references that a policy's turn dissolves of rows that another one archives."""
    if cascade is None or below is None or not other.archive:
        return []
    return [edge for edge in cascade.loose if edge.child in below.nodes]


def _sentence(other: ExpiryPolicy, edge: ReferenceEdge) -> str:
    return (
        f"rows of {edge.child.label} that the policy for {other.table} archives later lose their"
        f" {', '.join(edge.columns)} where it names a row that is deleted now ({edge.name})"
    )
