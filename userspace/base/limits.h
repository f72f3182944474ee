/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every limit a client or a peer can meet, in one place (design.md section 10).
 * Those of the client protocol are defaults of configuration keys.
 */
#ifndef RATMAN_BASE_LIMITS_H
#define RATMAN_BASE_LIMITS_H

/* Client protocol (api/). */
#define LIMIT_CLIENTS 1024
#define LIMIT_CLIENTS_PER_UID 256	/* on the Unix socket, of one user */
#define LIMIT_CLIENTS_RESERVE 4		/* beyond LIMIT_CLIENTS, for the administrator */
#define LIMIT_HEADER 64			/* bytes after the length field */
#define LIMIT_CONTROL_PAYLOAD (64u << 10)	/* bytes; payload of a request */
#define LIMIT_FIRST_FRAME_MS 5000	/* from connect to a whole handshake */
#define LIMIT_FRAME_MS 10000		/* from a frame's first byte to its last */
#define LIMIT_IDLE_MS 120000		/* then a Timeout reply and close */
#define LIMIT_AUTH_FAILURES 8		/* per minute and connection, then close */
#define LIMIT_HELPER_ACCEPT_MS 30000	/* a helper socket nobody connects to */
#define LIMIT_WRITE_STALL_MS 30000	/* a client that takes nothing off its socket */
#define LIMIT_WRITE_QUEUE (1u << 20)	/* bytes; above it we stop reading from the client */
#define LIMIT_WRITE_QUEUE_TOTAL (64u << 20)	/* bytes, of all clients together */
#define LIMIT_RECIPIENTS 64		/* of one Send/Many */
#define LIMIT_TURN_REQUESTS 128		/* of one client, before others have their turn */
#define LIMIT_TURN_BYTES (256u << 10)	/* of one stream, likewise */
#define LIMIT_SEND_GRACE_MS 2000	/* Send/One: wait for inline bytes */
#define LIMIT_ANYCAST_MS 60000		/* Space/Anycast: longer timeouts are cut to it */
#define LIMIT_ANYCAST_ANSWERS 1024	/* of one Space/Anycast; the quickest stay */
#define LIMIT_SEND_END_MS 30		/* data socket ended: may its client be dying? */

#define LIMIT_HELPERS 16		/* data sockets of one connection nobody came to yet */
#define LIMIT_HELPERS_DETACHED 64	/* those whose clients said goodbye */

/* Addresses and streams. */
#define LIMIT_LOCAL_ADDRESSES 256
#define LIMIT_STREAM_BYTES (1ull << 40)
#define LIMIT_OUTBOX 65536		/* streams that wait for their recipient */
#define LIMIT_INBOX 65536		/* streams that wait for a client */
#define LIMIT_SUBSCRIPTIONS 1024	/* subscribers, all addresses together */
#define LIMIT_SUBSCRIPTIONS_EACH 128	/* of one address, so that it leaves some to others */
#define LIMIT_SUBSCRIPTION_QUEUE 8192	/* streams or events that wait for one subscriber */
#define LIMIT_OUTBOX_AGE_S (30 * 86400)	/* then expired */

/* Contacts. All of one owner fit one reply: 2048 * (1024 + 2048 + some) < 8 MiB. */
#define LIMIT_CONTACTS 2048		/* of one address */
#define LIMIT_CONTACT_NOTE 1024		/* bytes */
#define LIMIT_CONTACT_TAGS 32		/* of one contact */
#define LIMIT_CONTACT_TAG_BYTES 2048	/* all keys and values of one, each with its NUL */

/* Namespaces. */
#define LIMIT_SPACES 256		/* whose keys are kept */
#define LIMIT_SPACE_MEMBERSHIPS 256	/* pairs of local address and namespace that are up */
#define LIMIT_SPACE_ITEMS 4096		/* streams kept for other members, per namespace */
#define LIMIT_SPACE_BYTES (4ull << 30)	/* … and their bytes */
#define LIMIT_SPACES_ITEMS 16384	/* … in all */
#define LIMIT_SPACES_BYTES (16ull << 30)
#define LIMIT_SPACE_AHEAD_S 86400	/* a sender's clock may be ahead of ours */

/* Client sessions, users, and services. */
#define LIMIT_SESSION_MS 1800000	/* without a request */
#define LIMIT_SESSIONS 1024		/* of all users */
#define LIMIT_SESSIONS_PER_USER 64
#define LIMIT_CREATIONS 16		/* addresses and users of one Unix user or host, per minute */
#define LIMIT_PASSWORDS 64		/* requests that wait for a key to be made from one */
#define LIMIT_PASSWORDS_EACH 8		/* … of one Unix user or host */
#define LIMIT_SERVICES 256		/* registered at a time */
#define LIMIT_SERVICES_PER_UID 64	/* … by one Unix user, or one host */
#define LIMIT_SERVICE_NAME 128		/* bytes */
#define LIMIT_SERVICE_TEXT 256		/* bytes of a description */
#define LIMIT_SERVICE_NS 128		/* bytes of a namespace of keys */
#define LIMIT_SERVICE_KEY 256		/* bytes */
#define LIMIT_SERVICE_KEYS 1024		/* of one user and service */
#define LIMIT_SERVICE_BYTES (8u << 20)	/* … of their values */
#define LIMIT_SERVICES_KEYS 4096	/* of one user, all services together */
#define LIMIT_SERVICES_BYTES (32u << 20)
#define LIMIT_SERVICE_EVENTS 1024	/* that wait for a service's program */
/* Profiles of users. One fits a request, an announcement and a page with room to spare. */
#define LIMIT_HANDLE 64			/* bytes */
#define LIMIT_DISPLAY_NAME 128		/* bytes */
#define LIMIT_BIO_PAIRS 64
#define LIMIT_BIO_BYTES (8u << 10)	/* all keys and values, each with its NUL */
#define LIMIT_PROFILE_SERVICES 64
#define LIMIT_PROFILE_SERVICE_BYTES (4u << 10)	/* all names, each with its NUL */
#define LIMIT_AVATAR (32u << 10)	/* bytes */
#define LIMIT_PROFILES 131072		/* of others, empty ones included */
#define LIMIT_BYGONE 16384		/* remembered of those who have no profile any more */
#define LIMIT_PROFILE_PAGE (256u << 10)	/* bytes of one reply; at least one profile */
#define LIMIT_PROFILE_TAKE 1000		/* profiles of one reply */
#define LIMIT_QUERY_TERMS 16
#define LIMIT_QUERY_PATTERN 256		/* bytes */
#define LIMIT_CONTACT_WORDS 32		/* of all fuzzy patterns of a query over contacts */
#define LIMIT_PROFILE_ANNOUNCE_S (6 * 3600)	/* from one announcement to the next */
/* Files (service-api.md section 7.1). A list of all a user sees fits one reply. */
#define LIMIT_FILE_NAME 255		/* bytes */
#define LIMIT_FILE_MIME 127		/* bytes */
#define LIMIT_FILES 4096		/* of one user, here or arriving */
#define LIMIT_FILE_ADVERTS 1024		/* announced to one user; the oldest go first */
#define LIMIT_FILE_GROUPS 4096		/* announced to everybody and to namespaces; the oldest go first */
#define LIMIT_FILE_CATALOG 256		/* announced by one address to everybody, or to one namespace */
#define LIMIT_FILE_ACCEPT (16u << 20)	/* bytes: sent unasked, taken up to; a configuration key */
#define LIMIT_FILE_ACCEPT_TOTAL (1ull << 30)	/* … all that came unasked; a configuration key */
#define LIMIT_FILE_SHARES 64		/* to whom one file is announced or was sent */

/* Parcels (flow/parcel.h) and the commons. */
#define LIMIT_PARCEL_DATA (1u << 20)	/* content of one that is sent from memory */
#define LIMIT_PARCEL_UNASKED (1u << 20)	/* taken from anybody, when no handler was asked */
#define LIMIT_SPACE_SHARE_ITEMS 1024	/* of one sender, in one namespace */
#define LIMIT_SPACE_SHARE_BYTES (1ull << 30)
#define LIMIT_COMMONS_SHARE_ITEMS 64
#define LIMIT_COMMONS_SHARE_BYTES (64ull << 20)
#define LIMIT_COMMONS_PROFILES 3072	/* of all; less than LIMIT_SPACE_ITEMS: the rest is for others */
#define LIMIT_COMMONS_ITEM (1ull << 20)	/* bytes of one parcel to the commons */

/* Messages. */
#define LIMIT_MESSAGE_SERVICE 128	/* bytes of a service's name */
#define LIMIT_MESSAGE_TAGS 64		/* of one message */
#define LIMIT_MESSAGE_TAG_BYTES 8192	/* all keys and values of one, as they are encoded */
#define LIMIT_MESSAGE_PAYLOAD 65000		/* bytes; a request of 64 KiB holds it, but for long tags */
#define LIMIT_MESSAGE_REPLY (1u << 20)	/* bytes of one reply to a query; then "more" */
#define LIMIT_MESSAGE_SUBSCRIPTIONS 64	/* of one user */
#define LIMIT_FLOODS 16384		/* messages to everybody that are kept; the oldest go first */
#define LIMIT_FLOOD_BYTES (256u << 20)	/* … and their bytes */

#endif
