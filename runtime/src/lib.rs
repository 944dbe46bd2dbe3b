//! filch: asyncio's model on every core.
