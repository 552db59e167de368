//! Every case with every peer in this process, as short as can be.
