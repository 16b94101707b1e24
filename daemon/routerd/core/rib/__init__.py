"""The routing information base: Adj-RIB-In, policy, next-hop tracking, decision process, Loc-RIB, export."""
