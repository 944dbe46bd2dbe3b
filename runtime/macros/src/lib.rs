//! The attributes of filch.
