"""The FIB's pure side: nexthop objects, groups and routes as they should be, and the way there."""
