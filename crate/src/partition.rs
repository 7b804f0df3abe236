//! AWS partitions and their domains.
