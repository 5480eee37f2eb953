# SPDX-License-Identifier: GPL-3.0-or-later
"""How long each step may take from the loss of a StorageNode until its half is served again, in seconds. Pure functions.

Corosync's token (config_node_cluster_token) is the only choice. All else is a limit, hit only when something is broken; who waits for a
volume has to wait for longer than all of them together.
"""

from __future__ import annotations

# In ms. With less a busy machine would be taken for a dead one; with more nobody would notice a dead one in time.
LEAST_TOKEN, MOST_TOKEN = 1000, 60000
# corosync.conf(5): a third member adds token_coefficient to the token, and consensus takes 1.2 times the sum.
TOKEN_COEFFICIENT = 650
CONSENSUS = 1.2
# A StorageNode asks its neighbours for that many tokens before it says that it is cut off: a peer that is dead is a member for 2.2 of them.
CUT_OFF_TOKENS = 4
# A BMC that switches a machine off, looks, and switches it on; and all BMCs of a machine, with the cluster's own work.
FENCE_AGENT, FENCING = 90, 120
PROMOTION, DEMOTION = 90, 90
# Volumes of a half, activated and exported, or taken away.
EXPORTS = 180
# aoe_deadsecs, and io_timeout of nvme_core: after that a client's kernel fails what it could not write.
CLIENTS = 86400


def detection(token: int) -> float:
    """Return after how many seconds the others agree that a voter is gone. token: ms."""
    effective = token + TOKEN_COEFFICIENT
    return (effective + CONSENSUS * effective) / 1000


def takeover(token: int) -> dict[str, float]:
    """Return the limit of each step of a takeover, in their order. token: ms."""
    return {
        "detection": max(detection(token), CUT_OFF_TOKENS * token / 1000),
        "fencing": FENCING,
        "promotion": PROMOTION,
        "exports": EXPORTS,
    }
