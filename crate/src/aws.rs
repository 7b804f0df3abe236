//! ARNs, accounts and sign-in origins: the data tables.
