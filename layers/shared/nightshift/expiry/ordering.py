"""Orders the policies of one run.

A policy may change rows of other policies: ON DELETE SET NULL and SET DEFAULT change references, and a row that depends
on two expired rows is deleted with the first. Therefore a policy that archives runs before policies that would change
its rows or delete them without an archive. Otherwise the policies run in the file's order. `cleanup` refuses such
policies; here an operator has nothing to decide.
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
    """A policy in its order; `warnings` name rows of later policies that lose references through this policy."""

    policy: ExpiryPolicy
    warnings: tuple[str, ...] = ()


def order_policies(
    connection: Connection, policies: Sequence[ExpiryPolicy], settings: Settings
) -> tuple[OrderedPolicy, ...]:
    """Returns the policies in order: a policy that archives precedes policies that would change or delete its rows."""
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
    """Returns the cascade of the policy's table; None if the policy would be refused or would fail."""
    try:
        return CascadeDiscovery(connection, policy, settings).discover_cascade()
    except (GuardRefused, NightshiftError, DBAPIError):
        return None
    finally:
        connection.rollback()


def _comes_before(entry: _PolicyCascade, other: _PolicyCascade, waiting: Sequence[_PolicyCascade]) -> bool:
    """Returns whether the policy `entry` must run before the policy `other`."""
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
    """Returns the loose references by which a policy's deletions change rows that another policy archives."""
    if cascade is None or below is None or not other.archive:
        return []
    return [edge for edge in cascade.loose if edge.child in below.nodes]


def _sentence(other: ExpiryPolicy, edge: ReferenceEdge) -> str:
    return (
        f"rows of {edge.child.label} that the policy for {other.table} archives later lose their"
        f" {', '.join(edge.columns)} where it names a row that is deleted now ({edge.name})"
    )
