//! Every bound in one place: what a peer, a disk or a user can grow, and how far.
//!
//! The constants are part of the protocol or of sanity; [`Limits`] holds those that an operator may set.

/// Longest actor id in bytes. A replica draws 16, and Automerge adds five or six for concurrent transactions of one replica.
pub const ACTOR_BYTES_MAX: usize = 31;
/// Most operations one change may hold: their encoding is so compact that a few bytes can stand for any number of them.
pub const ENTRY_OPS_MAX: usize = 4 * 1024 * 1024;
/// Most bytes a change that travels compressed may have when it is unpacked.
pub const ENTRY_UNPACKED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Largest file that is imported, in bytes, as it is and unpacked.
pub const IMPORT_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Largest backup that is read, in bytes.
pub const BACKUP_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// Longest recovery phrase that is looked at, in bytes.
pub const PHRASE_BYTES_MAX: usize = 1024;
/// Most operations, and most changes, of a file that is imported.
pub const IMPORT_ROWS_MAX: u64 = 64 * 1024 * 1024;
/// Highest number an operation may have, so that there are always numbers left for the operations to come.
pub const OP_COUNTER_MAX: u64 = 1 << 31;
/// How deep maps, lists and texts may be nested: what reads them calls itself, and JSON readers stop at 128.
pub const DOCUMENT_DEPTH_MAX: usize = 100;
/// Most answers to one mirror that are remembered until it says that it has taken them.
pub const VIEW_OFFERS_MAX: usize = 16_384;
/// Longest value that is stored to be shown before its document is loaded, in bytes of JSON.
pub const PREVIEW_BYTES_MAX: usize = 1024 * 1024;
/// All such values of a store together, in bytes of JSON; where there are more, the ones written longest ago go.
pub const PREVIEWS_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Most edits of one mirror of which it is remembered which changes they became.
pub const MIRROR_EDITS_MAX: usize = 1_024;
/// Most mirrors of which that is remembered; the one that has not edited for the longest is forgotten first.
pub const MIRRORS_MAX: usize = 256;
/// Most hashes one entry may depend on.
pub const ENTRY_DEPS_MAX: usize = 1_024;
/// Most heads one version may name.
pub const HEADS_MAX: usize = 4_096;
/// Most actors one clock may name.
pub const CLOCK_ACTORS_MAX: usize = 65_536;
/// Most entries in one frame.
pub const FRAME_ENTRIES_MAX: usize = 65_536;
/// Most strands that both ends of a connection remember, each way.
pub const STRANDS_MAX: usize = 128;
/// Most strands in one frame.
pub const FRAME_STRANDS_MAX: usize = 64;
/// Most strands that have numbers at once; above it all get new ones.
pub const STRAND_NUMBERS_MAX: usize = 16_384;
/// Aim of a catch-up frame in bytes: larger histories travel as several of these.
pub const CATCH_UP_FRAME_BYTES: usize = 256 * 1024;
/// Aim of a part of a snapshot on its way to a peer, in bytes.
pub const SNAPSHOT_PART_BYTES: usize = 256 * 1024;
/// Most ranges in one reconciliation frame.
pub const RANGES_MAX: usize = 1_024;
/// Most document digests in one reconciliation frame.
pub const RANGE_ITEMS_MAX: usize = 16_384;
/// Most past states of a space that are remembered, to tell a peer that left in one of them what has changed since.
pub const FEED_STATES_MAX: usize = 1_024;
/// Most movements of documents between those states.
pub const FEED_MOVES_MAX: usize = 8_192;
/// Most bytes of versions a subscription volunteers, to save a round trip for the documents that are open.
pub const EAGER_VERSION_BYTES: usize = 128;
/// Longest presence state in bytes.
pub const PRESENCE_BYTES_MAX: usize = 16 * 1024;
/// Most presence states kept for one space.
pub const PRESENCE_STATES_MAX: usize = 1_024;
/// Longest text of an error frame or an agent name in bytes.
pub const TEXT_BYTES_MAX: usize = 512;
/// Most entries of one document that wait for a dependency to be looked up in the store.
pub const PARKED_ENTRIES_MAX: usize = 16_384;
/// Recent entries of a document kept in memory to serve peers without reading the store, in bytes of payload.
pub const TAIL_BYTES_MAX: usize = 256 * 1024;
/// What one document's exchange with one peer takes in memory, about.
pub const EXCHANGE_BYTES: usize = 400;
/// What an entry takes at most while the document that it is part of is put together, about.
pub const ASSEMBLY_ENTRY_BYTES: u64 = 800;
/// Documents looked at in one drain to let go of what is quiet of them.
pub const LOOKS_PER_DRAIN_MAX: usize = 16_384;
/// Most hashes that one message of Automerge's own sync protocol may ask for.
pub const SYNC_NEEDS_MAX: usize = 16_384;
/// Most summaries of what its sender has in such a message; one is what is sent.
pub const SYNC_HAVES_MAX: usize = 8;
/// Longest Bloom filter in one, in bytes: enough for three million changes.
pub const SYNC_BLOOM_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most bits for each entry of a Bloom filter in one, and most probes for each look-up: ten and seven are sent.
pub const SYNC_BLOOM_BITS_MAX: u64 = 64;
/// See there.
pub const SYNC_BLOOM_PROBES_MAX: u64 = 32;
/// Most changes of one peer and document that wait for others they depend on.
pub const SYNC_ORPHANS_MAX: usize = 16_384;
/// ... and most bytes of them.
pub const SYNC_ORPHAN_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most statements of one space: its founding and grants. Revocations have room of their own, so that nobody can take it from them.
pub const GRANTS_MAX: usize = 4_096;
/// Most revocations of one space.
pub const REVOCATIONS_MAX: usize = 1_024;
/// Most grants made directly under one grant; the owner may make as many as there may be.
pub const GRANT_CHILDREN_MAX: usize = 256;
/// Most grants between an owner and a member, the member's own included.
pub const GRANT_CHAIN_MAX: usize = 8;
/// Longest note in a grant, in bytes.
pub const GRANT_NOTE_BYTES_MAX: usize = 128;
/// Most actors whose last accepted entry one revocation names, over all documents.
pub const REVOCATION_CUTS_MAX: usize = 16_384;
/// Most disavowals of one space: the owner's, and as many of all others.
pub const DISAVOWALS_MAX: usize = 1_024;
/// Most disavowals of one issuer's other than the owner that are kept.
pub const DISAVOWALS_PER_ISSUER_MAX: usize = 64;
/// Most actors that one disavowal names.
pub const DISAVOWED_ACTORS_MAX: usize = 256;
/// Most epochs of a sealed space: each shutting out takes one.
pub const EPOCHS_MAX: usize = 1_024;
/// Most earlier epochs whose keys one epoch carries on: the ones before it, of which chance makes more than one.
pub const EPOCH_CARRIED_MAX: usize = 16;
/// Most members whom one epoch brings its key.
pub const EPOCH_DELIVERIES_MAX: usize = 8_192;
/// Most deliveries of a space beside those: to who came in since.
pub const DELIVERIES_MAX: usize = 8_192;
/// Most sealed documents of which a relay remembers that it wants a snapshot; others are asked for when they have grown on.
pub const SNAPSHOTS_WANTED_MAX: usize = 16_384;
/// Most statements in one frame.
pub const STATEMENTS_MAX: usize = 1 + GRANTS_MAX + REVOCATIONS_MAX + DISAVOWALS_MAX + EPOCHS_MAX + DELIVERIES_MAX;
/// Longest statement in bytes: a revocation that names as many actors as it may.
pub const STATEMENT_BYTES_MAX: usize = 1024 * 1024;
/// All statements of one space together, in bytes.
pub const ROLL_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Most owned spaces of which a replica keeps the statements.
pub const ROLLS_MAX: usize = 65_536;
/// The statements of all of them together, in bytes.
pub const ROLLS_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Peers and spaces of which it is remembered how many statements the peer had saved; of others it is not noticed that they forget some.
pub const STATEMENTS_SAVED_MAX: usize = 16_384;
/// Most relays that an invitation names.
pub const INVITATION_RELAYS_MAX: usize = 4;
/// Most attestations kept of one space.
pub const ATTESTATIONS_PER_SPACE_MAX: usize = 65_536;
/// Most attestations kept of all spaces together.
pub const ATTESTATIONS_MAX: usize = 524_288;
/// Most attestations kept of an actor in a document for changes that are not on the disk yet.
pub const EARLY_ATTESTATIONS_MAX: usize = 8;
/// Documents of which it is remembered which attestations a connection was sent; where there are more, all are sent again.
pub const ATTESTED_TOLD_MAX: usize = 16_384;
/// Documents of which a connection was told why nothing of it is taken; of others it is not told.
pub const REFUSED_TOLD_MAX: usize = 1_024;
/// Most attestations in one frame.
pub const FRAME_ATTESTATIONS_MAX: usize = 4_096;
/// Largest letter in bytes, sealed: 16 KiB inside, and what is around that.
pub const LETTER_BYTES_MAX: usize = 16 * 1024 + 128;
/// Longest kind of a letter in bytes.
pub const LETTER_KIND_BYTES_MAX: usize = 64;
/// Longest life of a letter in seconds, from when it reaches a relay: thirty days.
pub const LETTER_SECONDS_MAX: u64 = 30 * 24 * 3_600;
/// How far ahead of a relay's clock a sender's may be, in seconds.
pub const LETTER_SKEW_SECONDS: u64 = 3_600;
/// Most letters that a relay keeps for one recipient.
pub const LETTERS_PER_RECIPIENT_MAX: usize = 128;
/// Most bytes of them.
pub const LETTERS_PER_RECIPIENT_BYTES_MAX: usize = 1024 * 1024;
/// Most letters that a relay keeps of what came from one key.
pub const LETTERS_PER_SENDER_MAX: usize = 512;
/// Letters that a relay takes from one key at once, and then one in so many milliseconds.
pub const LETTERS_BURST: u64 = 64;
/// See there.
pub const LETTER_EVERY_MS: u64 = 5_000;
/// Most letters that a relay keeps in all.
pub const LETTERS_MAX: usize = 16_384;
/// Most bytes of them.
pub const LETTERS_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Most letters of which it is remembered that they were taken; those that end first are forgotten first.
pub const LETTERS_TAKEN_MAX: usize = 32_768;
/// Most relays that pass a letter on, one to the other.
pub const LETTER_HOPS_MAX: u64 = 4;
/// Letters on their way to one peer before it has answered.
pub const LETTERS_UNDER_WAY_MAX: usize = 32;
/// Most letters that a replica keeps for its app, and as many that it keeps to be sent.
pub const INBOX_LETTERS_MAX: usize = 512;
/// Longest life of a link for a single use, in seconds: as long as the letter that asks by it is kept.
pub const TICKET_SECONDS_MAX: u64 = LETTER_SECONDS_MAX;
/// Links for a single use that a replica remembers; those that are over make room.
pub const TICKETS_MAX: usize = 256;
/// Links for a single use that a replica has asked by and remembers; those that are over make room.
pub const ASKS_MAX: usize = 64;
/// Devices of one person that a replica knows, lost ones included.
pub const DEVICES_MAX: usize = 32;
/// Spaces that a replica remembers to have been told of by devices of the same person.
pub const CARDS_MAX: usize = 1_024;
/// Longest name of a person, a device or a space in what replicas write each other to let somebody in, in bytes.
pub const NAME_BYTES_MAX: usize = 128;
/// Bytes of spaces that are told of in one letter, about.
pub const NEWS_BYTES: usize = 12 * 1024;
/// Grants that a member who is no admin may make: to devices of their own.
pub const MEMBER_CHILDREN_MAX: usize = 8;
/// Keys of which it is remembered how much they sent lately; the one that has sent nothing for the longest is forgotten first.
pub const SENDERS_MAX: usize = 16_384;
/// Most spaces of which it is remembered who brought them.
pub const SPACES_BROUGHT_MAX: usize = 262_144;
/// Most work that is done for a space, in leading zero bits: more would take minutes.
pub const STAMP_BITS_MAX: u32 = 24;
/// Spaces one connection may subscribe to.
pub const SUBSCRIPTIONS_MAX: usize = 1_024;
/// Milliseconds a new connection has to finish its hello.
pub const HELLO_MS_MAX: u64 = 10_000;
/// Milliseconds in which a peer takes something of what it was sent. One that does not holds memory that others wait for.
pub const TAKE_MS_MAX: u64 = 60_000;
/// Neighbours that a gossiping peer keeps, incoming ones counted: with fewer it dials.
pub const NEIGHBOURS_MIN: usize = 8;
/// Neighbours above which it parts from some now and then. Chance alone gives next to nobody so many: whom everyone dials has them.
pub const NEIGHBOURS_MANY: usize = 20;
/// Most neighbours; who comes then is told of others, and sent away.
pub const NEIGHBOURS_MAX: usize = 128;
/// Of the neighbours, those that the peer chose itself; other peers, however many dial it, take none of these places.
pub const NEIGHBOURS_CHOSEN_MIN: usize = 4;
/// Most neighbours of those chosen that one and the same peer told of.
pub const NEIGHBOURS_PER_TELLER_MAX: usize = 2;
/// Most peers known that someone configured.
pub const CONFIGURED_MAX: usize = 64;
/// Most peers known that were met: dialled, and there.
pub const MET_MAX: usize = 64;
/// Most peers known that were found on the network around, and not met yet.
pub const FOUND_MAX: usize = 128;
/// Most peers known by what others told alone.
pub const TOLD_MAX: usize = 96;
/// Of these, most that one and the same peer told of: a sixth.
pub const TOLD_PER_TELLER_MAX: usize = 16;
/// Most peers told of in one message.
pub const CONTACTS_MAX: usize = 8;
/// Most addresses of one peer.
pub const ADDRESSES_MAX: usize = 8;
/// Longest address in bytes.
pub const ADDRESS_BYTES_MAX: usize = 256;
/// Most documents of which it is remembered which neighbours are still to be sent what is new; of others all are sent it at once.
pub const RUMOURS_MAX: usize = 16_384;

/// Bounds an operator may set. The defaults suit a small relay and every client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest frame accepted or sent, in bytes.
    pub frame_bytes_max: usize,
    /// Largest single change, in bytes; always less than a frame.
    pub entry_bytes_max: usize,
    /// Largest snapshot accepted, in bytes, and all that are arriving on one connection together.
    pub snapshot_bytes_max: usize,
    /// Most documents this replica holds in one space.
    pub documents_per_space_max: usize,
    /// Most documents this replica holds in all.
    pub documents_max: usize,
    /// Bytes that all documents take in memory, those left out that are not yet durable: above it what is quiet is let go of,
    /// and read again from the store when it is wanted. What is left then of a document is what spaces are compared by; when
    /// even that is too much, nothing is taken that would add to it: no new document, and no new actor in one.
    pub documents_bytes_max: usize,
    /// Of these, the bytes of what may be let go of.
    pub recent_bytes_max: usize,
    /// Bytes of entries not yet durable, of entries that wait for others, and of snapshots that arrive; above it nothing more is
    /// accepted until the store has caught up.
    pub undurable_bytes_max: usize,
    /// What putting documents together for snapshots may take in memory, in bytes, about. A log that takes more is left as it
    /// is; a snapshot that a peer sent is then taken in alone.
    pub assembly_bytes_max: usize,
    /// Bytes handed to a connection and not yet written; above it the peer is a slow consumer and is caught up later.
    pub outbound_bytes_max: usize,
    /// The same of all connections together: above it all are caught up later.
    pub outbound_all_bytes_max: usize,
    /// Bytes of frames of all connections that have arrived and wait for their turn; above it no connection is read.
    pub inbound_all_bytes_max: usize,
    /// Most connections at once.
    pub connections_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes_max: 16 * 1024 * 1024,
            entry_bytes_max: 12 * 1024 * 1024,
            snapshot_bytes_max: 64 * 1024 * 1024,
            documents_per_space_max: 100_000,
            documents_max: 1_000_000,
            documents_bytes_max: 512 * 1024 * 1024,
            recent_bytes_max: 512 * 1024 * 1024,
            undurable_bytes_max: 64 * 1024 * 1024,
            assembly_bytes_max: usize::MAX,
            outbound_bytes_max: 1024 * 1024,
            outbound_all_bytes_max: 256 * 1024 * 1024,
            inbound_all_bytes_max: 64 * 1024 * 1024,
            connections_max: 10_000,
        }
    }
}
