// Made by `npm run generate`. Do not edit.

export interface paths {
    "/v1/threads": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The caller's threads, latest activity first
         * @description Only threads that the caller is in now. The participants of one come with `GET /v1/threads/{id}`.
         */
        get: operations["listThreads"];
        put?: never;
        /**
         * Create a 1:1 or group thread
         * @description The caller is always a participant; duplicate ids are merged. For two people who have a 1:1 already, the answer is that one.
         */
        post: operations["createThread"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/threads/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * A thread with its participants
         * @description Each participant comes with the message up to which it has received, and up to which it has read.
         */
        get: operations["getThread"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        /**
         * Give a group a title, or take it away with null (admins)
         * @description The participants get a `thread` frame, unless the title is the same as before.
         */
        patch: operations["setTitle"];
        trace?: never;
    };
    "/v1/threads/{id}/me": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * What the caller keeps of a thread for itself
         * @description Also `me` in every Thread. `last_client_seq` is that of the calling device.
         */
        get: operations["getOwnState"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        /**
         * Change what the caller keeps of a thread
         * @description Members that are left out stay. A change is told to all devices of the user by a frame `thread_state`.
         */
        patch: operations["setOwnState"];
        trace?: never;
    };
    "/v1/threads/{id}/participants": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Add someone to a group; any participant may
         * @description The new participant sees the thread from its joining on, not what came before.
         */
        post: operations["addParticipant"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/threads/{id}/participants/{uid}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /**
         * Remove someone from a group (admins), or leave it (oneself)
         * @description When the last admin leaves, the longest-standing member becomes admin.
         */
        delete: operations["removeParticipant"];
        options?: never;
        head?: never;
        /**
         * Make someone an admin of a group, or a member (admins)
         * @description A group keeps at least one admin.
         */
        patch: operations["setRole"];
        trace?: never;
    };
    "/v1/threads/{id}/messages": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * A thread's messages
         * @description Newest first; with `since`, the messages after that one, oldest first. A page cursor goes on in the direction of the
         *     listing that it came from. The history begins where the caller joined the thread last.
         *
         *     A page ends at 1 MiB of ciphertext, where each name in a message's reactions counts 96 bytes, and looks at 5,000 events of
         *     the log at most: it may have fewer messages than `page_size`, or none, and yet a `next_cursor`, which goes on. Only a null
         *     `next_cursor` is the end.
         *
         *     With `content_type` the messages that are of this type now. Such a page looks at 1,000 events at most. A cursor
         *     of another `content_type` is refused.
         */
        get: operations["fetchHistory"];
        put?: never;
        /**
         * Send a message
         * @description 202 means that the message is on stable storage and is being delivered. A retry with the same Idempotency-Key is always safe.
         *
         *     A message can fail because its recipient blocks the sender. A retry within 24 h of sending, with the same key or the
         *     same `client_seq`, then tries delivery again and is answered 202. A message that expired before it was delivered stays
         *     expired: a retry is answered 409 with the tombstone.
         *
         *     A message of the content type `control` is of the clients' own protocol: it is ordered, delivered and receipted like any, but
         *     neither unread nor activity, and may have 256 KiB. With an `epoch` it is stored only if that is the thread's plus 1.
         */
        post: operations["sendMessage"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/threads/{id}/events": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * A thread's log after a seq, oldest first
         * @description The log has every durable frame of the live connection (asyncapi.yaml), without its `frame_seq`. A device that follows
         *     it has an exact index of the thread. The log begins where the caller joined the thread last.
         *
         *     There is one exception. While the caller blocks the other participant of a 1:1, what that one sends, edits, reacts with or
         *     pins is not in the caller's log, nor is what happens to such a message. If the message is delivered later, by a retry, the event has its content of that time;
         *     `GET /v1/messages/{id}` has its reactions, and `GET /v1/threads/{id}/pins` says whether it is pinned.
         */
        get: operations["fetchEvents"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/threads/{id}/prekeys": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * What is needed to begin an encrypted conversation with many participants at once
         * @description Of the named participants, or of all, the bundles of all their devices with keys, the caller's other devices too. It uses up one-time
         *     keys as `GET /v1/users/{id}/prekeys` does. `unavailable` are those who have no key left or none at all, who are not in the thread, and
         *     of whom the caller has asked 6 times in ten minutes. An answer has up to 4 MiB of bundles; ask again for those in `remaining`. No key was
         *     taken of who is in either list. A caller may ask 6 times in ten minutes for each thread, asking again for `remaining` included.
         */
        post: operations["fetchGroupPrekeys"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/threads/{id}/read": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Mark everything up to a message as read
         * @description The mark never moves backwards. Naming an older message changes nothing.
         */
        post: operations["markRead"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/threads/{id}/pins": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The pinned messages of a thread, in order of pinning
         * @description Only pins of messages that the caller sees: none from before its joining, none that is hidden from it or has expired.
         */
        get: operations["listPins"];
        put?: never;
        /**
         * Pin a message; any participant may
         * @description A thread has three pins at most. If some of them are hidden from the caller (of messages older than its joining, say), the oldest of these makes room, with its `unpinned` event before the new pin's; else 409. A message that is deleted or expires is thereby unpinned.
         */
        post: operations["addPin"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/threads/{id}/pins/{message_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /**
         * Unpin a message; any participant may
         * @description Any participant may unpin what another one pinned.
         */
        delete: operations["removePin"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/messages/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * One message
         * @description The message as it is now: an edited one with its new content, a deleted or expired one as a tombstone.
         */
        get: operations["getMessage"];
        put?: never;
        post?: never;
        /**
         * Delete a message (its sender, within 15 minutes)
         * @description A tombstone of the message stays, without ciphertext, attachment and reactions. Participants get a `del` frame.
         */
        delete: operations["deleteMessage"];
        options?: never;
        head?: never;
        /**
         * Give a message new content (its sender, within 15 minutes)
         * @description All else of the message stays, the states of its recipients too. Participants get an `edit` frame.
         */
        patch: operations["editMessage"];
        trace?: never;
    };
    "/v1/messages/{id}/receipts": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Where each recipient of a message stands
         * @description One state for each participant at the time of sending, except the sender. It is exact for messages of any age.
         */
        get: operations["getReceipts"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/messages/{id}/reactions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Who has reacted to a message with an emoji, in the order of giving
         * @description A Message names at most 100 of them.
         */
        get: operations["listReactions"];
        put?: never;
        /**
         * React to a message
         * @description Repeating a reaction changes nothing. A message has at most 64 different ones.
         */
        post: operations["addReaction"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/messages/{id}/reactions/{emoji}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /**
         * Take the caller's own reaction back
         * @description If the caller has no such reaction, nothing changes.
         */
        delete: operations["removeReaction"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/messages/{id}/reports": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Report a message to the operators
         * @description The report stays when the message is deleted. The sender of the message is not told.
         */
        post: operations["reportMessage"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/users/me/prekeys": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * How many one-time keys the caller's devices have left
         * @description Counts and times, no keys; nothing is used up.
         */
        get: operations["countPrekeys"];
        /**
         * Upload keys of the caller's device
         * @description One-time keys are added to those that are stored. One whose `key_id` is stored replaces that key; one whose `key_id` was
         *     ever given to somebody is ignored. All other keys of the device are replaced; without `last_resort_prekey` in the
         *     request the device has none. Another `identity_key` than before is a new installation: the one-time keys stored, and the
         *     ids of those given, are forgotten first. Keys are opaque to the server.
         */
        put: operations["uploadPrekeys"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/users/me/devices": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The caller's devices
         * @description Every device that has connected or uploaded keys, and was not removed or forgotten, in order of their ids. A connected one
         *     is seen now.
         */
        get: operations["listDevices"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/users/me/devices/{device_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /**
         * Remove one of the caller's devices
         * @description Its connections end, at whichever node, and its keys, position and subscriptions are forgotten. Tokens that name it and were
         *     issued before are refused from then on with `device_removed`; one without `iat` until it expires. With a newer one it comes back
         *     as a new device. What it has received and read stays: that is the user's.
         */
        delete: operations["removeDevice"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/users/{id}/devices": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The devices of a user that have keys
         * @description Which identity each has and since when; no key is used up. The caller must share a thread with the user, and may ask 60 times
         *     a minute. The frame `devices` tells of changes.
         */
        get: operations["listDevicesOf"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/users/{id}/prekeys": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * What is needed to begin an encrypted conversation with a user's devices
         * @description Each one-time key is given once in all, so this GET has no HEAD. For a device that has none left, the answer has its
         *     last-resort key; a device without that either is listed as unavailable. A caller may ask 60 times a minute, and for the
         *     same user 6 times in ten minutes. `me` is no user: see `/v1/users/me/prekeys`.
         */
        get: operations["fetchPrekeys"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/users/{id}/presence": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Whether a user is connected
         * @description The caller must share a thread with the user. A caller whom the user blocks, or who is in none of the threads that the user
         *     has accepted, is told `offline` and null.
         */
        get: operations["getPresence"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/users/me/unread": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Count what is unread in the inbox
         * @description In the threads of the inbox that are not muted. A thread that is marked as unread counts as one.
         */
        get: operations["countUnread"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/users/me/blocks": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Whom the caller blocks, in order of their ids
         * @description A user is not told who blocks it.
         */
        get: operations["listBlocks"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/users/me/blocks/{uid}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        /**
         * Block a user
         * @description From now on, what the user sends in the 1:1 with the caller fails with the reason `blocked` and is hidden from the caller.
         *     Blocking a user again changes nothing, `blocked_at` neither. The request has no body.
         */
        put: operations["blockUser"];
        post?: never;
        /**
         * Take a block back
         * @description Messages that the user sent while blocked stay hidden, unless their sender retries them. Without a block nothing changes.
         */
        delete: operations["unblockUser"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/admin/reports": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * What users have reported, newest first
         * @description Reports have metadata of the message and the note of the reporter, never the content of the message.
         */
        get: operations["listReports"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/admin/attachment-denylist/{sha256}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        /**
         * Refuse attachments of this SHA-256
         * @description From now on, sending such an attachment is refused with `attachment_blocked`; messages sent before stay. The request has no body.
         */
        put: operations["denyAttachment"];
        post?: never;
        /**
         * Accept attachments of this SHA-256 again
         * @description If no such attachment is refused, nothing changes.
         */
        delete: operations["allowAttachment"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/realtime": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Open the live connection
         * @description A WebSocket upgrade; asyncapi.yaml describes what follows. The subprotocol `mqtt` speaks MQTT, none or
         *     `parley.v1` JSON frames. A token in the query is refused. A JSON client sends it as header or as subprotocol
         *     `bearer.<jwt>`, an MQTT client in its CONNECT.
         */
        get: operations["connect"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/healthz": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Liveness
         * @description The process answers; 503 once only a restart can help it.
         */
        get: operations["healthz"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/readyz": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Readiness
         * @description `ok` and `degraded` are ready: `degraded` serves, and the reasons name what needs repair: the bus, or a clock that is
         *     apart from the database's (`clock`). `unavailable` is 503: the store cannot be reached (`store`), the clock is so
         *     wrong that nothing is stored (`clock`), or the node is stopping (`draining`).
         */
        get: operations["readyz"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/metrics": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Prometheus metrics
         * @description Absent where the server has a metrics listener of its own.
         */
        get: operations["metrics"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /**
         * @description 1 to 64 visible ASCII characters, maybe in quotes; with a quote at one end only it is refused
         * @example 0b6c8c1e-8d0e-4d0c-9a53-2f6f0f7a4f0e
         */
        IdempotencyKeyHeader: string;
        Health: {
            /** @enum {string} */
            status: "ok" | "degraded" | "unavailable";
            /** @description Why the status is not `ok`. */
            reasons: ("bus" | "clock" | "store" | "draining")[];
        };
        /**
         * @description A user, as `sub` of a token names it
         * @example alice
         */
        UserId: string;
        /**
         * @description A device of a user
         * @example phone
         */
        DeviceId: string;
        /**
         * Format: uuid
         * @description A UUID, lower case, made with the store and made anew when a backup is restored. A client that finds another than it
         *     knows drops what it holds and reads anew.
         * @example 5f0c954e-3b5c-4d3a-9f3e-8a1f6f1f7c2d
         */
        StoreId: string;
        /**
         * Format: uuid
         * @description A UUID, lower case
         * @example 018fca3e-52b2-7f3c-8a35-6a2f5c1d9e00
         */
        ThreadId: string;
        /**
         * @description A ULID; within a thread ids rise in commit order
         * @example 01HX9G3M2J8K4N5P7Q8R0S1TAB
         */
        MessageId: string;
        /**
         * Format: int64
         * @description The number of an event in its thread, 1, 2, 3 … without a gap
         * @example 7
         */
        Seq: number;
        /**
         * Format: date-time
         * @description RFC 3339, UTC, milliseconds
         * @example 2026-05-30T17:42:11.234Z
         */
        Time: string;
        /**
         * @description Standard base64 with padding, no line breaks
         * @example AAJ8Rg==
         */
        Bytes: string;
        /**
         * @description The content of a message, at most 64 KiB decoded; empty once the message is deleted
         * @example AAJ8Rg==
         */
        Ciphertext: components["schemas"]["Bytes"];
        /**
         * @description The content of a message, at most 64 KiB decoded, of a control message 256 KiB; empty once the message is deleted, and where
         *     it is `omitted`
         * @example AAJ8Rg==
         */
        WholeCiphertext: components["schemas"]["Bytes"];
        /**
         * @description The content of a message, 1 byte to 64 KiB decoded; of a control message to 256 KiB, over MQTT what fits a packet
         * @example AAJ8Rg==
         */
        SentCiphertext: components["schemas"]["Bytes"];
        /**
         * @description The ciphertext is left out: it is of a control message and larger than 64 KiB, or the frame would be larger than the Maximum
         *     Packet Size of its client. `GET /v1/messages/{id}` has it.
         * @constant
         */
        Omitted: true;
        /**
         * Format: int64
         * @description The epoch that a control message began
         * @example 1
         */
        Epoch: number;
        /**
         * Format: int64
         * @description The epoch that the newest control message with one began; 0 while there is none
         */
        ThreadEpoch: number;
        /**
         * @description The content of a message, 1 byte to 64 KiB decoded
         * @example AAJ8Rg==
         */
        NewCiphertext: components["schemas"]["Bytes"];
        /**
         * @description 32 bytes as lower-case hexadecimal digits
         * @example 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
         */
        Sha256: string;
        /**
         * @description An emoji or a custom name: at most 64 bytes of UTF-8, no control characters, no slash, and not `.` or `..`
         * @example 👍
         */
        Emoji: string;
        /** @enum {string} */
        ThreadType: "1_TO_1" | "GROUP";
        /** @enum {string} */
        Role: "admin" | "member";
        /**
         * @description `system` only with the scope chat.system; `control` is of the clients' own protocol
         * @enum {string}
         */
        ContentType: "text" | "image_ref" | "video_ref" | "audio_ref" | "file_ref" | "system" | "control";
        /**
         * @description `sender`: the sender deleted the message; `expired`: its time was up
         * @enum {string}
         */
        DeletionReason: "sender" | "expired";
        /** @enum {string} */
        ReactionOp: "add" | "remove";
        /**
         * @description `blocked`: the recipient blocks the sender; `expired`: the time of the message was up before it arrived
         * @enum {string}
         */
        FailureReason: "blocked" | "expired";
        /** @enum {string} */
        PresenceStatus: "online" | "offline";
        SetTitle: {
            title: string | null;
        };
        SetRole: {
            role: components["schemas"]["Role"];
        };
        EventPage: {
            events: components["schemas"]["Event"][];
            /** @description `since_seq` of the next page; null at the end of the log */
            next_since_seq: components["schemas"]["Seq"] | null;
            store_id: components["schemas"]["StoreId"];
        };
        /** @description One entry of a thread's log; `t` says which */
        Event: components["schemas"]["MsgEvent"] | components["schemas"]["EditEvent"] | components["schemas"]["DelEvent"] | components["schemas"]["ReactionEvent"] | components["schemas"]["ThreadEvent"];
        /** @description A message was sent. Read later, it has the present content. */
        MsgEvent: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            t: "msg";
            id: components["schemas"]["MessageId"];
            thread_id: components["schemas"]["ThreadId"];
            seq: components["schemas"]["Seq"];
            sender_id: components["schemas"]["UserId"];
            ciphertext: components["schemas"]["Ciphertext"];
            omitted?: components["schemas"]["Omitted"];
            content_type: components["schemas"]["ContentType"];
            epoch?: components["schemas"]["Epoch"];
            created_at: components["schemas"]["Time"];
            reply_to_msg_id?: components["schemas"]["MessageId"];
            attachment_id?: string;
            attachment_sha256?: components["schemas"]["Sha256"];
            expires_at?: components["schemas"]["Time"];
            /** Format: int64 */
            client_seq?: number;
            device_id?: components["schemas"]["DeviceId"];
            /**
             * @description The message failed when it was sent, because its recipient blocked the sender, and is now delivered by a retry:
             *     `id` is the message's, `seq` that of this event.
             * @constant
             */
            redelivery?: true;
        };
        /** @description A message got new content. Read later, the event has the present content. */
        EditEvent: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            t: "edit";
            /** @description The message; `seq` is the edit's. */
            id: components["schemas"]["MessageId"];
            thread_id: components["schemas"]["ThreadId"];
            seq: components["schemas"]["Seq"];
            sender_id: components["schemas"]["UserId"];
            ciphertext: components["schemas"]["Ciphertext"];
            content_type: components["schemas"]["ContentType"];
            edited_at: components["schemas"]["Time"];
        };
        /** @description A message was deleted or has expired. */
        DelEvent: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            t: "del";
            id: components["schemas"]["MessageId"];
            thread_id: components["schemas"]["ThreadId"];
            seq: components["schemas"]["Seq"];
            /** @description Who deleted the message; null where it has expired. */
            by: components["schemas"]["UserId"] | null;
            reason: components["schemas"]["DeletionReason"];
        };
        /** @description Somebody reacted to a message, or took a reaction back. */
        ReactionEvent: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            t: "reaction";
            id: components["schemas"]["MessageId"];
            thread_id: components["schemas"]["ThreadId"];
            seq: components["schemas"]["Seq"];
            by: components["schemas"]["UserId"];
            emoji: components["schemas"]["Emoji"];
            op: components["schemas"]["ReactionOp"];
            at: components["schemas"]["Time"];
        };
        /** @description The thread or its participants have changed; `event` says how. */
        ThreadEvent: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            t: "thread";
        } & (components["schemas"]["ThreadCreatedEvent"] | components["schemas"]["TitleChangedEvent"] | components["schemas"]["ParticipantAddedEvent"] | components["schemas"]["ParticipantRemovedEvent"] | components["schemas"]["RoleChangedEvent"] | components["schemas"]["PinnedEvent"] | components["schemas"]["UnpinnedEvent"]);
        /** @description `by` created the thread. */
        ThreadCreatedEvent: {
            /** @constant */
            t: "thread";
            thread_id: components["schemas"]["ThreadId"];
            seq: components["schemas"]["Seq"];
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            event: "created";
            type: components["schemas"]["ThreadType"];
            participants: components["schemas"]["Member"][];
            title?: string;
            by: components["schemas"]["UserId"];
            at: components["schemas"]["Time"];
        };
        /** @description `by` gave the group another title, or with null took the title away. */
        TitleChangedEvent: {
            /** @constant */
            t: "thread";
            thread_id: components["schemas"]["ThreadId"];
            seq: components["schemas"]["Seq"];
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            event: "title_changed";
            title: string | null;
            by: components["schemas"]["UserId"];
            at: components["schemas"]["Time"];
        };
        /** @description `by` added `user_id` to the group. */
        ParticipantAddedEvent: {
            /** @constant */
            t: "thread";
            thread_id: components["schemas"]["ThreadId"];
            seq: components["schemas"]["Seq"];
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            event: "participant_added";
            user_id: components["schemas"]["UserId"];
            role: components["schemas"]["Role"];
            by: components["schemas"]["UserId"];
            at: components["schemas"]["Time"];
        };
        /** @description `by` removed `user_id` from the group; where both are the same, the user left. */
        ParticipantRemovedEvent: {
            /** @constant */
            t: "thread";
            thread_id: components["schemas"]["ThreadId"];
            seq: components["schemas"]["Seq"];
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            event: "participant_removed";
            user_id: components["schemas"]["UserId"];
            by: components["schemas"]["UserId"];
            at: components["schemas"]["Time"];
        };
        /** @description `user_id` has another role. `by` gave it, or is the last admin, who left. */
        RoleChangedEvent: {
            /** @constant */
            t: "thread";
            thread_id: components["schemas"]["ThreadId"];
            seq: components["schemas"]["Seq"];
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            event: "role_changed";
            user_id: components["schemas"]["UserId"];
            role: components["schemas"]["Role"];
            by: components["schemas"]["UserId"];
            at: components["schemas"]["Time"];
        };
        /** @description `by` pinned a message. */
        PinnedEvent: {
            /** @constant */
            t: "thread";
            thread_id: components["schemas"]["ThreadId"];
            seq: components["schemas"]["Seq"];
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            event: "pinned";
            message_id: components["schemas"]["MessageId"];
            by: components["schemas"]["UserId"];
            at: components["schemas"]["Time"];
        };
        /** @description `by` unpinned a message. A deleted message is unpinned by its `del`, without this event. */
        UnpinnedEvent: {
            /** @constant */
            t: "thread";
            thread_id: components["schemas"]["ThreadId"];
            seq: components["schemas"]["Seq"];
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            event: "unpinned";
            message_id: components["schemas"]["MessageId"];
            by: components["schemas"]["UserId"];
            at: components["schemas"]["Time"];
        };
        /** @description A participant as of the event */
        Member: {
            user_id: components["schemas"]["UserId"];
            role: components["schemas"]["Role"];
            joined_at: components["schemas"]["Time"];
        };
        CreateThread: {
            type: components["schemas"]["ThreadType"];
            /** @description With the caller, exactly two for a 1:1 and at most 250 for a group */
            participants: components["schemas"]["UserId"][];
            /** @description Groups only */
            title?: string | null;
        };
        AddParticipant: {
            user_id: components["schemas"]["UserId"];
        };
        MarkRead: {
            up_to_msg_id: components["schemas"]["MessageId"];
        };
        SendMessage: {
            /**
             * Format: int64
             * @description Unique per thread, user and device. By convention a device counts it up in each thread.
             */
            client_seq: number;
            ciphertext: components["schemas"]["SentCiphertext"];
            /** @description text if absent */
            content_type?: components["schemas"]["ContentType"] | null;
            /** @description Required for the _ref types */
            attachment_id?: string | null;
            attachment_sha256?: components["schemas"]["Sha256"] | null;
            /** @description A message of this thread */
            reply_to_msg_id?: components["schemas"]["MessageId"] | null;
            /** @description The message expires after so many seconds */
            ttl_seconds?: number | null;
            /** @description Of a control message only: it is stored only if this is the thread's epoch plus 1 */
            epoch?: components["schemas"]["Epoch"] | null;
        };
        EditMessage: {
            ciphertext: components["schemas"]["NewCiphertext"];
            /** @description As before if absent */
            content_type?: components["schemas"]["ContentType"] | null;
        };
        AddReaction: {
            emoji: components["schemas"]["Emoji"];
        };
        PinMessage: {
            message_id: components["schemas"]["MessageId"];
        };
        /** @enum {string} */
        ReportReason: "spam" | "abuse" | "illegal" | "other";
        ReportMessage: {
            reason: components["schemas"]["ReportReason"];
            note?: string | null;
        };
        /** @description What a user keeps of a thread for itself */
        Me: {
            /** @description False for who was put in by somebody with whom it has no 1:1 that it has accepted, until it sends, reacts or says so */
            accepted: boolean;
            muted_until: components["schemas"]["Time"] | null;
            /** @description Until a newer message comes, other than while the thread is muted */
            archived: boolean;
            pinned: boolean;
            marked_unread: boolean;
            /** @description Opaque, at most 4 KiB decoded */
            custom: components["schemas"]["Bytes"] | null;
            /**
             * Format: int64
             * @description The largest `client_seq` that the calling device has used in the thread
             */
            last_client_seq: number | null;
        };
        SetOwnState: {
            accepted?: boolean;
            muted_until?: string | null;
            archived?: boolean;
            pinned?: boolean;
            marked_unread?: boolean;
            custom?: components["schemas"]["Bytes"] | null;
        };
        /** @description Both are exact up to 99; 100 means more */
        UnreadCounts: {
            threads: number;
            messages: number;
        };
        Thread: {
            id: components["schemas"]["ThreadId"];
            type: components["schemas"]["ThreadType"];
            title: string | null;
            created_at: components["schemas"]["Time"];
            created_by: components["schemas"]["UserId"];
            last_msg_id: components["schemas"]["MessageId"] | null;
            last_activity_at: components["schemas"]["Time"];
            participant_count: number;
            /** @description Exact up to 99; 100 means more */
            unread_count: number;
            epoch: components["schemas"]["ThreadEpoch"];
            me: components["schemas"]["Me"];
        };
        ThreadWithParticipants: {
            id: components["schemas"]["ThreadId"];
            type: components["schemas"]["ThreadType"];
            title: string | null;
            created_at: components["schemas"]["Time"];
            created_by: components["schemas"]["UserId"];
            last_msg_id: components["schemas"]["MessageId"] | null;
            last_activity_at: components["schemas"]["Time"];
            participant_count: number;
            /** @description Exact up to 99; 100 means more */
            unread_count: number;
            epoch: components["schemas"]["ThreadEpoch"];
            me: components["schemas"]["Me"];
            participants: components["schemas"]["Participant"][];
        };
        Participant: {
            user_id: components["schemas"]["UserId"];
            role: components["schemas"]["Role"];
            joined_at: components["schemas"]["Time"];
            /** @description The newest message that the participant has received, among those that the caller sees */
            delivered_up_to: components["schemas"]["MessageId"] | null;
            /** @description The newest message that the participant has read, among those that the caller sees */
            read_up_to: components["schemas"]["MessageId"] | null;
            /** @description When a device of the participant with keys was added or removed, or had another identity, last; null is never */
            devices_at: components["schemas"]["Time"] | null;
        };
        ThreadPage: {
            threads: components["schemas"]["Thread"][];
            next_cursor: string | null;
        };
        Message: {
            id: components["schemas"]["MessageId"];
            thread_id: components["schemas"]["ThreadId"];
            seq: components["schemas"]["Seq"];
            sender_id: components["schemas"]["UserId"];
            device_id: components["schemas"]["DeviceId"];
            /** Format: int64 */
            client_seq: number;
            ciphertext: components["schemas"]["WholeCiphertext"];
            omitted?: components["schemas"]["Omitted"];
            content_type: components["schemas"]["ContentType"];
            epoch: components["schemas"]["Epoch"] | null;
            created_at: components["schemas"]["Time"];
            edited_at: components["schemas"]["Time"] | null;
            deleted: boolean;
            reactions: components["schemas"]["Reaction"][];
            reply_to_msg_id: components["schemas"]["MessageId"] | null;
            attachment_id: string | null;
            attachment_sha256: components["schemas"]["Sha256"] | null;
            expires_at: components["schemas"]["Time"] | null;
        };
        Reaction: {
            emoji: components["schemas"]["Emoji"];
            /** @description How many gave it */
            count: number;
            /** @description Who gave it, in the order of giving; at most 100 of them, the caller among them if it did */
            by: components["schemas"]["UserId"][];
            /** @description When, in the same order as `by` */
            at: components["schemas"]["Time"][];
        };
        ReactionPage: {
            by: components["schemas"]["UserId"][];
            at: components["schemas"]["Time"][];
            next_cursor: string | null;
        };
        MessagePage: {
            messages: components["schemas"]["Message"][];
            next_cursor: string | null;
        };
        Receipts: {
            states: components["schemas"]["RecipientState"][];
            summary: components["schemas"]["ReceiptSummary"];
        };
        RecipientState: {
            recipient_id: components["schemas"]["UserId"];
            /** @enum {string} */
            state: "SENT" | "DELIVERED" | "READ" | "FAILED";
            delivered_at: components["schemas"]["Time"] | null;
            read_at: components["schemas"]["Time"] | null;
            /** @description Why the message failed; null unless `state` is FAILED */
            reason: components["schemas"]["FailureReason"] | null;
        };
        /** @description How many recipients are in each state; each counts once */
        ReceiptSummary: {
            sent: number;
            delivered: number;
            read: number;
            failed: number;
        };
        Pins: {
            /** @description There can be more than three, where participants who joined later do not see the first ones and pinned others */
            pins: components["schemas"]["Pin"][];
        };
        Pin: {
            message_id: components["schemas"]["MessageId"];
            pinned_by: components["schemas"]["UserId"];
            pinned_at: components["schemas"]["Time"];
        };
        /** @description Unique per device and kind of key */
        KeyId: number;
        /**
         * @description Opaque to the server; 1 byte to 4 KiB decoded
         * @example BQ4hxaSO1A==
         */
        Key: components["schemas"]["Bytes"];
        Prekey: {
            key_id: components["schemas"]["KeyId"];
            public_key: components["schemas"]["Key"];
        };
        SignedPrekey: {
            key_id: components["schemas"]["KeyId"];
            public_key: components["schemas"]["Key"];
            signature: components["schemas"]["Key"];
        };
        /** @description A key that is given to everybody who asks, while the device has no one-time key left */
        LastResortPrekey: {
            key_id: components["schemas"]["KeyId"];
            public_key: components["schemas"]["Key"];
            signature: components["schemas"]["Key"];
            /** @constant */
            last_resort: true;
        };
        PrekeyUpload: {
            identity_key: components["schemas"]["Key"];
            signed_prekey: components["schemas"]["SignedPrekey"];
            /** @description At most 1,000 are stored for a device, else 400 */
            one_time_prekeys: components["schemas"]["Prekey"][];
            last_resort_prekey?: components["schemas"]["SignedPrekey"] | null;
            /** @description Post-quantum keys, for PQXDH. They need `pq_last_resort_prekey`. At most 1,000 are stored for a device, else 400 */
            pq_one_time_prekeys?: components["schemas"]["SignedPrekey"][] | null;
            pq_last_resort_prekey?: components["schemas"]["SignedPrekey"] | null;
        };
        /** @description A post-quantum key; with `last_resort`, one that is given to everybody who asks, while the device has no one-time key of that kind left */
        PQPrekey: {
            key_id: components["schemas"]["KeyId"];
            public_key: components["schemas"]["Key"];
            signature: components["schemas"]["Key"];
            /** @constant */
            last_resort?: true;
        };
        PrekeysStored: {
            device_id: components["schemas"]["DeviceId"];
            one_time_prekeys: number;
            pq_one_time_prekeys: number;
            updated_at: components["schemas"]["Time"];
            /** @description Ids of one-time keys that were not stored, as keys of these ids were handed out before */
            ignored: components["schemas"]["KeyId"][];
            /** @description The same of post-quantum one-time keys */
            pq_ignored: components["schemas"]["KeyId"][];
            /** @description The identity key is another than before. All one-time keys that were stored, and the ids of those handed out, were forgotten first */
            reset: boolean;
        };
        PrekeyStatus: {
            device_id: components["schemas"]["DeviceId"];
            one_time_prekeys: number;
            /** @description How many post-quantum ones */
            pq_one_time_prekeys: number;
            /** @description When the device uploaded last */
            updated_at: components["schemas"]["Time"];
        };
        FetchGroupPrekeys: {
            /** @description All participants without it */
            user_ids?: components["schemas"]["UserId"][] | null;
        };
        GroupPrekeys: {
            bundles: components["schemas"]["PrekeyBundle"][];
            /** @description Those of whom nothing can be given now */
            unavailable: components["schemas"]["UserId"][];
            /** @description Those to ask for again, as there was no room */
            remaining: components["schemas"]["UserId"][];
        };
        Device: {
            device_id: components["schemas"]["DeviceId"];
            first_seen_at: components["schemas"]["Time"];
            /** @description Now, while it is connected */
            last_seen_at: components["schemas"]["Time"];
            connected: boolean;
            /** @description This and the next only of a device with keys */
            identity_key?: components["schemas"]["Key"];
            one_time_prekeys?: number;
        };
        Devices: {
            devices: components["schemas"]["Device"][];
        };
        DeviceIdentity: {
            device_id: components["schemas"]["DeviceId"];
            identity_key: components["schemas"]["Key"];
            /** @description Since when it has that identity */
            identity_at: components["schemas"]["Time"];
        };
        DeviceIdentities: {
            devices: components["schemas"]["DeviceIdentity"][];
        };
        PrekeyStatuses: {
            devices: components["schemas"]["PrekeyStatus"][];
        };
        PrekeyBundle: {
            user_id: components["schemas"]["UserId"];
            devices: components["schemas"]["DeviceBundle"][];
            /** @description Devices that have no key left, or whose keys could not be read now */
            unavailable_devices: components["schemas"]["DeviceId"][];
        };
        DeviceBundle: {
            device_id: components["schemas"]["DeviceId"];
            identity_key: components["schemas"]["Key"];
            signed_prekey: components["schemas"]["SignedPrekey"];
            one_time_prekey: components["schemas"]["Prekey"] | components["schemas"]["LastResortPrekey"];
            /** @description Of a device that has uploaded a post-quantum key of last resort */
            pq_prekey?: components["schemas"]["PQPrekey"];
        };
        Presence: {
            user_id: components["schemas"]["UserId"];
            status: components["schemas"]["PresenceStatus"];
            /** @description null while the user is online, if it was never online, and for a caller whom it blocks */
            last_seen_at: components["schemas"]["Time"] | null;
        };
        Blocks: {
            blocks: components["schemas"]["Block"][];
            next_cursor: string | null;
        };
        Block: {
            user_id: components["schemas"]["UserId"];
            blocked_at: components["schemas"]["Time"];
        };
        /**
         * @description A ULID; ids of reports rise in the order of reporting
         * @example 01HX9H0000J8K4N5P7Q8R0S1TA
         */
        ReportId: string;
        ReportReceipt: {
            id: components["schemas"]["ReportId"];
            message_id: components["schemas"]["MessageId"];
            reason: components["schemas"]["ReportReason"];
            created_at: components["schemas"]["Time"];
        };
        Report: {
            id: components["schemas"]["ReportId"];
            message_id: components["schemas"]["MessageId"];
            thread_id: components["schemas"]["ThreadId"];
            /** @description The sender of the message */
            sender_id: components["schemas"]["UserId"];
            reporter_id: components["schemas"]["UserId"];
            reason: components["schemas"]["ReportReason"];
            note: string | null;
            created_at: components["schemas"]["Time"];
        };
        ReportPage: {
            reports: components["schemas"]["Report"][];
            next_cursor: string | null;
        };
        /** @description RFC 9457 */
        Problem: {
            /** Format: uri-reference */
            type: string;
            title: string;
            status: number;
            detail: string;
            code: components["schemas"]["Code"];
            errors?: components["schemas"]["FieldProblem"][];
            /** @description Of `epoch_conflict` only */
            epoch?: components["schemas"]["ThreadEpoch"];
            /**
             * @description Of `epoch_conflict` only: the message that holds the thread's epoch, a tombstone if it was deleted; null while the
             *     epoch is 0, and where the caller does not see it
             */
            message?: components["schemas"]["Message"] | null;
        };
        FieldProblem: {
            field: string;
            message: string;
        };
        /** @enum {string} */
        Code: "invalid_request" | "unauthenticated" | "missing_scope" | "device_mismatch" | "not_a_participant" | "not_an_admin" | "not_the_sender" | "edit_window_closed" | "cannot_add" | "too_many_strangers" | "blocked" | "epoch_conflict" | "no_shared_thread" | "origin_not_allowed" | "not_found" | "thread_not_found" | "message_not_found" | "participant_not_found" | "pin_not_found" | "device_not_found" | "device_removed" | "no_prekeys" | "method_not_allowed" | "request_timeout" | "not_a_group" | "thread_full" | "last_admin" | "message_deleted" | "too_many_reactions" | "too_many_pins" | "too_many_devices" | "ciphertext_too_large" | "body_too_large" | "unsupported_media_type" | "idempotency_key_reused" | "attachment_blocked" | "upgrade_required" | "rate_limited" | "headers_too_large" | "internal" | "unavailable" | "prekeys_exhausted";
    };
    responses: {
        /** @description `invalid_request` */
        InvalidRequest: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `unauthenticated`, or `device_removed` (the token names a device that the user has removed since) */
        Unauthenticated: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `missing_scope` or `device_mismatch` */
        Forbidden: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `origin_not_allowed`, `missing_scope` or `device_mismatch` */
        ForbiddenOrigin: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `not_a_participant`, `missing_scope` or `device_mismatch` */
        NotAParticipant: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /**
         * @description `cannot_add`: people whom `errors` names, one in each `message`, block the caller, or have left and the caller is no admin;
         *     `missing_scope` or `device_mismatch`
         */
        CannotAdd: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /**
         * @description `cannot_add`: the user whom `errors` names blocks the caller, or has left and the caller is no admin; `not_a_participant`,
         *     `missing_scope` or `device_mismatch`
         */
        CannotAddTo: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /**
         * @description `not_a_participant`, `missing_scope` or `device_mismatch`; `blocked` for a control message with an `epoch`, if the other
         *     participant of a 1:1 blocks the caller
         */
        NotSendable: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `not_an_admin`, `not_a_participant`, `missing_scope` or `device_mismatch` */
        NotAnAdmin: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `not_the_sender`, `edit_window_closed` (after 15 minutes), `not_a_participant`, `missing_scope` or `device_mismatch` */
        NotTheSender: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `no_shared_thread`, `missing_scope` or `device_mismatch` */
        NoSharedThread: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `thread_not_found` */
        ThreadNotFound: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `message_not_found` */
        MessageNotFound: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `thread_not_found` or `message_not_found` */
        ThreadOrMessageNotFound: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `thread_not_found` or `participant_not_found` */
        ParticipantNotFound: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `thread_not_found` or `pin_not_found` */
        PinNotFound: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `device_not_found` */
        DeviceNotFound: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `no_prekeys`: the user has uploaded none */
        NoPrekeys: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `request_timeout`: the request did not arrive in time */
        RequestTimeout: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `not_a_group` */
        NotAGroup: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `not_a_group` or `last_admin` */
        LastAdmin: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `not_a_group` or `thread_full` */
        NoRoom: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `message_deleted` */
        MessageDeleted: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `message_deleted` or `too_many_reactions` (over 64 different ones) */
        NotReactable: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `message_deleted` or `too_many_pins` (the thread has 3, none of them hidden from the caller) */
        NotPinnable: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `too_many_devices`: 16 devices of the user have prekeys */
        TooManyDevices: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `body_too_large` (over 512 KiB) */
        BodyTooLarge: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `body_too_large` (over 512 KiB) or `ciphertext_too_large` (over 64 KiB decoded) */
        CiphertextTooLarge: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `unsupported_media_type` */
        UnsupportedMediaType: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `idempotency_key_reused`: the key was used for another request */
        KeyReused: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `idempotency_key_reused` (the key was used for another request) or `attachment_blocked` */
        NotAccepted: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `upgrade_required`: the request is no WebSocket upgrade */
        UpgradeRequired: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                Upgrade: components["headers"]["Upgrade"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `rate_limited` */
        RateLimited: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "Retry-After": components["headers"]["Retry-After"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /**
         * @description `too_many_strangers`: in 24 hours the caller has put as many people into threads, each counted once, as it may (1,000 by default)
         *     who have accepted no 1:1 with it; `Retry-After` says when so many more are allowed. A refused call counts nobody. `rate_limited`
         */
        TooManyStrangers: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "Retry-After": components["headers"]["Retry-After"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `headers_too_large` (request line and headers over 16 KiB) */
        HeadersTooLarge: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `internal` */
        Internal: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `unavailable`: retry later; to send again with the same key is safe */
        Unavailable: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "Retry-After": components["headers"]["Retry-After"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `prekeys_exhausted` (no device of the user has a key left, until one uploads some) or `unavailable` */
        PrekeysExhausted: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "Retry-After": components["headers"]["Retry-After"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description The text exposition format */
        Metrics: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                [name: string]: unknown;
            };
            content: {
                "text/plain": string;
            };
        };
        /** @description The server is alive, or ready */
        Health: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Health"];
            };
        };
        /** @description The server is not ready */
        NotReady: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "Retry-After": components["headers"]["Retry-After"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Health"];
            };
        };
    };
    parameters: {
        /** @description The thread */
        ThreadId: components["schemas"]["ThreadId"];
        /** @description The message */
        MessageId: components["schemas"]["MessageId"];
        /** @description The device, if the token names none. The query parameter `device_id` serves too; without any it is `default`. */
        DeviceId: components["schemas"]["DeviceId"];
        /**
         * @description Echoed if it is 1 to 128 visible ASCII characters
         * @example 3f2c9a7e41d80b56
         */
        RequestId: string;
        /** @description The thread of the message, which spares a cluster a search; with a wrong one the message is not found */
        ThreadHint: components["schemas"]["ThreadId"];
        /** @description `next_cursor` of the page before this one */
        Cursor: string;
        /** @description How many items at most */
        PageSize: number;
    };
    requestBodies: never;
    headers: {
        /**
         * @description The client's, or one made for the request
         * @example 3f2c9a7e41d80b56
         */
        "X-Request-Id": string;
        /**
         * @description The path of the new thread
         * @example /v1/threads/018fca3e-52b2-7f3c-8a35-6a2f5c1d9e00
         */
        Location: string;
        /** @description The message was stored by an earlier request of the same key */
        "Idempotency-Replayed": "true";
        /** @description The message was found by its `client_seq`, and what it was sent with is not what this request sends */
        "Idempotency-Content-Differs": "true";
        /** @description Seconds */
        "Retry-After": number;
        "WWW-Authenticate": "Bearer";
        Upgrade: "websocket";
        /**
         * @description The user's rates (draft-ietf-httpapi-ratelimit-headers-11): so much at once (`q`), given back in so many seconds
         *     (`w`). Every answer to an accepted token has it, unless the server has no limits.
         * @example "write";q=40;w=2, "read";q=200;w=4
         */
        "RateLimit-Policy": string;
        /**
         * @description What is left of each rate (`r`), and in how many seconds it is whole again (`t`)
         * @example "write";r=39;t=1, "read";r=200;t=0
         */
        RateLimit: string;
    };
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    listThreads: {
        parameters: {
            query?: {
                /** @description Only these threads; a cursor is good for the state that it came from */
                state?: "inbox" | "requests" | "archived";
                /** @description `next_cursor` of the page before this one */
                cursor?: components["parameters"]["Cursor"];
                /** @description How many items at most */
                page_size?: components["parameters"]["PageSize"];
            };
            header?: {
                /** @description The device, if the token names none. The query parameter `device_id` serves too; without any it is `default`. */
                "X-Device-Id"?: components["parameters"]["DeviceId"];
                /**
                 * @description Echoed if it is 1 to 128 visible ASCII characters
                 * @example 3f2c9a7e41d80b56
                 */
                "X-Request-Id"?: components["parameters"]["RequestId"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of threads */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ThreadPage"];
                };
            };
            400: components["responses"]["InvalidRequest"];
            401: components["responses"]["Unauthenticated"];
            403: components["responses"]["Forbidden"];
            408: components["responses"]["RequestTimeout"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    createThread: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description The server recognises a retry by its key for 24 h. Keys are per user, and apart from those of messages.
                 * @example 6f1d9c52-1b0a-4f7c-8c5e-0d3b7a2e4f61
                 */
                "Idempotency-Key"?: components["schemas"]["IdempotencyKeyHeader"];
                /** @description The device, if the token names none. The query parameter `device_id` serves too; without any it is `default`. */
                "X-Device-Id"?: components["parameters"]["DeviceId"];
                /**
                 * @description Echoed if it is 1 to 128 visible ASCII characters
                 * @example 3f2c9a7e41d80b56
                 */
                "X-Request-Id"?: components["parameters"]["RequestId"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["CreateThread"];
            };
        };
        responses: {
            /** @description The 1:1 thread that these two people have already */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Thread"];
                };
            };
            /** @description The new thread, or the one that the same request made before */
            201: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "Idempotency-Replayed": components["headers"]["Idempotency-Replayed"];
                    Location: components["headers"]["Location"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Thread"];
                };
            };
            400: components["responses"]["InvalidRequest"];
            401: components["responses"]["Unauthenticated"];
            403: components["responses"]["CannotAdd"];
            408: components["responses"]["RequestTimeout"];
            413: components["responses"]["BodyTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["KeyReused"];
            429: components["responses"]["TooManyStrangers"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    getThread: {
        parameters: {
            query?: never;
            header?: {
                /** @description The device, if the token names none. The query parameter `device_id` serves too; without any it is `default`. */
                "X-Device-Id"?: components["parameters"]["DeviceId"];
                /**
                 * @description Echoed if it is 1 to 128 visible ASCII characters
                 * @example 3f2c9a7e41d80b56
                 */
                "X-Request-Id"?: components["parameters"]["RequestId"];
            };
            path: {
                /** @description The thread */
                id: components["parameters"]["ThreadId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The thread */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ThreadWithParticipants"];
                };
            };
            400: components["responses"]["InvalidRequest"];
            401: components["responses"]["Unauthenticated"];
            403: components["responses"]["NotAParticipant"];
            404: components["responses"]["ThreadNotFound"];
            408: components["responses"]["RequestTimeout"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    setTitle: {
        parameters: {
            query?: never;
            header?: {
                /** @description The device, if the token names none. The query parameter `device_id` serves too; without any it is `default`. */
                "X-Device-Id"?: components["parameters"]["DeviceId"];
                /**
                 * @description Echoed if it is 1 to 128 visible ASCII characters
                 * @example 3f2c9a7e41d80b56
                 */
                "X-Request-Id"?: components["parameters"]["RequestId"];
            };
            path: {
                /** @description The thread */
                id: components["parameters"]["ThreadId"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["SetTitle"];
            };
        };
        responses: {
            /** @description The thread */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Thread"];
                };
            };
            400: components["responses"]["InvalidRequest"];
            401: components["responses"]["Unauthenticated"];
            403: components["responses"]["NotAnAdmin"];
            404: components["responses"]["ThreadNotFound"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["NotAGroup"];
            413: components["responses"]["BodyTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    getOwnState: {
        parameters: {
            query?: never;
            header?: {
                /** @description The device, if the token names none. The query parameter `device_id` serves too; without any it is `default`. */
                "X-Device-Id"?: components["parameters"]["DeviceId"];
                /**
                 * @description Echoed if it is 1 to 128 visible ASCII characters
                 * @example 3f2c9a7e41d80b56
                 */
                "X-Request-Id"?: components["parameters"]["RequestId"];
            };
            path: {
                /** @description The thread */
                id: components["parameters"]["ThreadId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What it keeps */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Me"];
                };
            };
            400: components["responses"]["InvalidRequest"];
            401: components["responses"]["Unauthenticated"];
            403: components["responses"]["NotAParticipant"];
            404: components["responses"]["ThreadNotFound"];
            408: components["responses"]["RequestTimeout"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    setOwnState: {
        parameters: {
            query?: never;
            header?: {
                /** @description The device, if the token names none. The query parameter `device_id` serves too; without any it is `default`. */
                "X-Device-Id"?: components["parameters"]["DeviceId"];
                /**
                 * @description Echoed if it is 1 to 128 visible ASCII characters
                 * @example 3f2c9a7e41d80b56
                 */
                "X-Request-Id"?: components["parameters"]["RequestId"];
            };
            path: {
                /** @description The thread */
                id: components["parameters"]["ThreadId"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["SetOwnState"];
            };
        };
        responses: {
            /** @description What it keeps then */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Me"];
                };
            };
            400: components["responses"]["InvalidRequest"];
            401: components["responses"]["Unauthenticated"];
            403: components["responses"]["NotAParticipant"];
            404: components["responses"]["ThreadNotFound"];
            408: components["responses"]["RequestTimeout"];
            413: components["responses"]["BodyTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    addParticipant: {
        parameters: {
            query?: never;
            header?: {
                /** @description The device, if the token names none. The query parameter `device_id` serves too; without any it is `default`. */
                "X-Device-Id"?: components["parameters"]["DeviceId"];
                /**
                 * @description Echoed if it is 1 to 128 visible ASCII characters
                 * @example 3f2c9a7e41d80b56
                 */
                "X-Request-Id"?: components["parameters"]["RequestId"];
            };
            path: {
                /** @description The thread */
                id: components["parameters"]["ThreadId"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["AddParticipant"];
            };
        };
        responses: {
            /** @description The participant, who was in the group already */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Participant"];
                };
            };
            /** @description The new participant */
            201: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Participant"];
                };
            };
            400: components["responses"]["InvalidRequest"];
            401: components["responses"]["Unauthenticated"];
            403: components["responses"]["CannotAddTo"];
            404: components["responses"]["ThreadNotFound"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["NoRoom"];
            413: components["responses"]["BodyTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyStrangers"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    removeParticipant: {
        parameters: {
            query?: never;
            header?: {
                /** @description The device, if the token names none. The query parameter `device_id` serves too; without any it is `default`. */
                "X-Device-Id"?: components["parameters"]["DeviceId"];
                /**
                 * @description Echoed if it is 1 to 128 visible ASCII characters
                 * @example 3f2c9a7e41d80b56
                 */
                "X-Request-Id"?: components["parameters"]["RequestId"];
            };
            path: {
                /** @description The thread */
                id: components["parameters"]["ThreadId"];
                /** @description The user who leaves */
                uid: components["schemas"]["UserId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The user is no longer in the group */
            204: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["InvalidRequest"];
            401: components["responses"]["Unauthenticated"];
            403: components["responses"]["NotAnAdmin"];
            404: components["responses"]["ParticipantNotFound"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["NotAGroup"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    setRole: {
        parameters: {
            query?: never;
            header?: {
                /** @description The device, if the token names none. The query parameter `device_id` serves too; without any it is `default`. */
                "X-Device-Id"?: components["parameters"]["DeviceId"];
                /**
                 * @description Echoed if it is 1 to 128 visible ASCII characters
                 * @example 3f2c9a7e41d80b56
                 */
                "X-Request-Id"?: components["parameters"]["RequestId"];
            };
            path: {
                /** @description The thread */
                id: components["parameters"]["ThreadId"];
                /** @description The user who gets the role */
                uid: components["schemas"]["UserId"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["SetRole"];
            };
        };
        responses: {
            /** @description The participant */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Participant"];
                };
            };
            400: components["responses"]["InvalidRequest"];
            401: components["responses"]["Unauthenticated"];
            403: components["responses"]["NotAnAdmin"];
            404: components["responses"]["ParticipantNotFound"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["LastAdmin"];
            413: components["responses"]["BodyTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    fetchHistory: {
        parameters: {
            query?: {
                /** @description `next_cursor` of the page before this one */
                cursor?: components["parameters"]["Cursor"];
                /** @description How many items at most */
                page_size?: components["parameters"]["PageSize"];
                /** @description A message id. An unknown one stands for its place in the order of ids. */
                since?: components["schemas"]["MessageId"];
                /** @description Only messages that are of this type now */
                content_type?: components["schemas"]["ContentType"];
            };
            header?: {
                /** @description The device, if the token names none. The query parameter `device_id` serves too; without any it is `default`. */
                "X-Device-Id"?: components["parameters"]["DeviceId"];
                /**
                 * @description Echoed if it is 1 to 128 visible ASCII characters
                 * @example 3f2c9a7e41d80b56
                 */
                "X-Request-Id"?: components["parameters"]["RequestId"];
            };
            path: {
                /** @description The thread */
                id: components["parameters"]["ThreadId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of messages */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MessagePage"];
                };
            };
            400: components["responses"]["InvalidRequest"];
            401: components["responses"]["Unauthenticated"];
            403: components["responses"]["NotAParticipant"];
            404: components["responses"]["ThreadNotFound"];
            408: components["responses"]["RequestTimeout"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    sendMessage: {
        parameters: {
            query?: never;
            header: {
                /**
                 * @description The server recognises a retry by its key for 24 h. Keys are per user and thread. Quotes around a key are no part of it.
                 * @example 0b6c8c1e-8d0e-4d0c-9a53-2f6f0f7a4f0e
                 */
                "Idempotency-Key": components["schemas"]["IdempotencyKeyHeader"];
                /** @description The device, if the token names none. The query parameter `device_id` serves too; without any it is `default`. */
                "X-Device-Id"?: components["parameters"]["DeviceId"];
                /**
                 * @description Echoed if it is 1 to 128 visible ASCII characters
                 * @example 3f2c9a7e41d80b56
                 */
                "X-Request-Id"?: components["parameters"]["RequestId"];
            };
            path: {
                /** @description The thread */
                id: components["parameters"]["ThreadId"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["SendMessage"];
            };
        };
        responses: {
            /** @description The message, durably stored */
            202: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "Idempotency-Replayed": components["headers"]["Idempotency-Replayed"];
                    "Idempotency-Content-Differs": components["headers"]["Idempotency-Content-Differs"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Message"];
                };
            };
            400: components["responses"]["InvalidRequest"];
            401: components["responses"]["Unauthenticated"];
            403: components["responses"]["NotSendable"];
            404: components["responses"]["ThreadNotFound"];
            408: components["responses"]["RequestTimeout"];
            /**
             * @description This `client_seq` was used before in this thread by this user and device, with another key; or the message of this
             *     request expired before it was delivered. The body is the existing message, or the tombstone of the expired one.
             *
             *     Or `epoch_conflict`: the `epoch` is not the thread's plus 1. The body is a problem with the thread's `epoch` and the
             *     `message` that holds it.
             */
            409: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "Idempotency-Content-Differs": components["headers"]["Idempotency-Content-Differs"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Message"];
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            413: components["responses"]["CiphertextTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["NotAccepted"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    fetchEvents: {
        parameters: {
            query?: {
                /** @description The last event the caller has */
                since_seq?: number;
                /** @description How many items at most */
                page_size?: components["parameters"]["PageSize"];
            };
            header?: {
                /** @description The device, if the token names none. The query parameter `device_id` serves too; without any it is `default`. */
                "X-Device-Id"?: components["parameters"]["DeviceId"];
                /**
                 * @description Echoed if it is 1 to 128 visible ASCII characters
                 * @example 3f2c9a7e41d80b56
                 */
                "X-Request-Id"?: components["parameters"]["RequestId"];
            };
            path: {
                /** @description The thread */
                id: components["parameters"]["ThreadId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of events */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["EventPage"];
                };
            };
            400: components["responses"]["InvalidRequest"];
            401: components["responses"]["Unauthenticated"];
            403: components["responses"]["NotAParticipant"];
            404: components["responses"]["ThreadNotFound"];
            408: components["responses"]["RequestTimeout"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    fetchGroupPrekeys: {
        parameters: {
            query?: never;
            header?: {
                /** @description The device, if the token names none. The query parameter `device_id` serves too; without any it is `default`. */
                "X-Device-Id"?: components["parameters"]["DeviceId"];
                /**
                 * @description Echoed if it is 1 to 128 visible ASCII characters
                 * @example 3f2c9a7e41d80b56
                 */
                "X-Request-Id"?: components["parameters"]["RequestId"];
            };
            path: {
                /** @description The thread */
                id: components["parameters"]["ThreadId"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["FetchGroupPrekeys"];
            };
        };
        responses: {
            /** @description The bundles */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["GroupPrekeys"];
                };
            };
            400: components["responses"]["InvalidRequest"];
            401: components["responses"]["Unauthenticated"];
            403: components["responses"]["NotAParticipant"];
            404: components["responses"]["ThreadNotFound"];
            408: components["responses"]["RequestTimeout"];
            413: components["responses"]["BodyTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    markRead: {
        parameters: {
            query?: never;
            header?: {
                /** @description The device, if the token names none. The query parameter `device_id` serves too; without any it is `default`. */
                "X-Device-Id"?: components["parameters"]["DeviceId"];
                /**
                 * @description Echoed if it is 1 to 128 visible ASCII characters
                 * @example 3f2c9a7e41d80b56
                 */
                "X-Request-Id"?: components["parameters"]["RequestId"];
            };
            path: {
                /** @description The thread */
                id: components["parameters"]["ThreadId"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["MarkRead"];
            };
        };
        responses: {
            /** @description Recorded */
            204: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["InvalidRequest"];
            401: components["responses"]["Unauthenticated"];
            403: components["responses"]["NotAParticipant"];
            404: components["responses"]["ThreadOrMessageNotFound"];
            408: components["responses"]["RequestTimeout"];
            413: components["responses"]["BodyTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    listPins: {
        parameters: {
            query?: never;
            header?: {
                /** @description The device, if the token names none. The query parameter `device_id` serves too; without any it is `default`. */
                "X-Device-Id"?: components["parameters"]["DeviceId"];
                /**
                 * @description Echoed if it is 1 to 128 visible ASCII characters
                 * @example 3f2c9a7e41d80b56
                 */
                "X-Request-Id"?: components["parameters"]["RequestId"];
            };
            path: {
                /** @description The thread */
                id: components["parameters"]["ThreadId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The pins */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Pins"];
                };
            };
            400: components["responses"]["InvalidRequest"];
            401: components["responses"]["Unauthenticated"];
            403: components["responses"]["NotAParticipant"];
            404: components["responses"]["ThreadNotFound"];
            408: components["responses"]["RequestTimeout"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    addPin: {
        parameters: {
            query?: never;
            header?: {
                /** @description The device, if the token names none. The query parameter `device_id` serves too; without any it is `default`. */
                "X-Device-Id"?: components["parameters"]["DeviceId"];
                /**
                 * @description Echoed if it is 1 to 128 visible ASCII characters
                 * @example 3f2c9a7e41d80b56
                 */
                "X-Request-Id"?: components["parameters"]["RequestId"];
            };
            path: {
                /** @description The thread */
                id: components["parameters"]["ThreadId"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["PinMessage"];
            };
        };
        responses: {
            /** @description The pin that was there already */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Pin"];
                };
            };
            /** @description The new pin */
            201: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Pin"];
                };
            };
            400: components["responses"]["InvalidRequest"];
            401: components["responses"]["Unauthenticated"];
            403: components["responses"]["NotAParticipant"];
            404: components["responses"]["ThreadOrMessageNotFound"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["NotPinnable"];
            413: components["responses"]["BodyTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    removePin: {
        parameters: {
            query?: never;
            header?: {
                /** @description The device, if the token names none. The query parameter `device_id` serves too; without any it is `default`. */
                "X-Device-Id"?: components["parameters"]["DeviceId"];
                /**
                 * @description Echoed if it is 1 to 128 visible ASCII characters
                 * @example 3f2c9a7e41d80b56
                 */
                "X-Request-Id"?: components["parameters"]["RequestId"];
            };
            path: {
                /** @description The thread */
                id: components["parameters"]["ThreadId"];
                /** @description The pinned message */
                message_id: components["schemas"]["MessageId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description No longer pinned */
            204: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["InvalidRequest"];
            401: components["responses"]["Unauthenticated"];
            403: components["responses"]["NotAParticipant"];
            404: components["responses"]["PinNotFound"];
            408: components["responses"]["RequestTimeout"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    getMessage: {
        parameters: {
            query?: {
                /** @description The thread of the message, which spares a cluster a search; with a wrong one the message is not found */
                thread_id?: components["parameters"]["ThreadHint"];
            };
            header?: {
                /** @description The device, if the token names none. The query parameter `device_id` serves too; without any it is `default`. */
                "X-Device-Id"?: components["parameters"]["DeviceId"];
                /**
                 * @description Echoed if it is 1 to 128 visible ASCII characters
                 * @example 3f2c9a7e41d80b56
                 */
                "X-Request-Id"?: components["parameters"]["RequestId"];
            };
            path: {
                /** @description The message */
                id: components["parameters"]["MessageId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The message */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Message"];
                };
            };
            400: components["responses"]["InvalidRequest"];
            401: components["responses"]["Unauthenticated"];
            403: components["responses"]["NotAParticipant"];
            404: components["responses"]["MessageNotFound"];
            408: components["responses"]["RequestTimeout"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    deleteMessage: {
        parameters: {
            query?: {
                /** @description The thread of the message, which spares a cluster a search; with a wrong one the message is not found */
                thread_id?: components["parameters"]["ThreadHint"];
            };
            header?: {
                /** @description The device, if the token names none. The query parameter `device_id` serves too; without any it is `default`. */
                "X-Device-Id"?: components["parameters"]["DeviceId"];
                /**
                 * @description Echoed if it is 1 to 128 visible ASCII characters
                 * @example 3f2c9a7e41d80b56
                 */
                "X-Request-Id"?: components["parameters"]["RequestId"];
            };
            path: {
                /** @description The message */
                id: components["parameters"]["MessageId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The message is deleted, by this request or an earlier one */
            204: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["InvalidRequest"];
            401: components["responses"]["Unauthenticated"];
            403: components["responses"]["NotTheSender"];
            404: components["responses"]["MessageNotFound"];
            408: components["responses"]["RequestTimeout"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    editMessage: {
        parameters: {
            query?: {
                /** @description The thread of the message, which spares a cluster a search; with a wrong one the message is not found */
                thread_id?: components["parameters"]["ThreadHint"];
            };
            header?: {
                /** @description The device, if the token names none. The query parameter `device_id` serves too; without any it is `default`. */
                "X-Device-Id"?: components["parameters"]["DeviceId"];
                /**
                 * @description Echoed if it is 1 to 128 visible ASCII characters
                 * @example 3f2c9a7e41d80b56
                 */
                "X-Request-Id"?: components["parameters"]["RequestId"];
            };
            path: {
                /** @description The message */
                id: components["parameters"]["MessageId"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["EditMessage"];
            };
        };
        responses: {
            /** @description The message, with the new `edited_at` */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Message"];
                };
            };
            400: components["responses"]["InvalidRequest"];
            401: components["responses"]["Unauthenticated"];
            403: components["responses"]["NotTheSender"];
            404: components["responses"]["MessageNotFound"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["MessageDeleted"];
            413: components["responses"]["CiphertextTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    getReceipts: {
        parameters: {
            query?: {
                /** @description The thread of the message, which spares a cluster a search; with a wrong one the message is not found */
                thread_id?: components["parameters"]["ThreadHint"];
            };
            header?: {
                /** @description The device, if the token names none. The query parameter `device_id` serves too; without any it is `default`. */
                "X-Device-Id"?: components["parameters"]["DeviceId"];
                /**
                 * @description Echoed if it is 1 to 128 visible ASCII characters
                 * @example 3f2c9a7e41d80b56
                 */
                "X-Request-Id"?: components["parameters"]["RequestId"];
            };
            path: {
                /** @description The message */
                id: components["parameters"]["MessageId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The state of each recipient, and how many recipients are in each state */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Receipts"];
                };
            };
            400: components["responses"]["InvalidRequest"];
            401: components["responses"]["Unauthenticated"];
            403: components["responses"]["NotAParticipant"];
            404: components["responses"]["MessageNotFound"];
            408: components["responses"]["RequestTimeout"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    listReactions: {
        parameters: {
            query: {
                /** @description The thread of the message, which spares a cluster a search; with a wrong one the message is not found */
                thread_id?: components["parameters"]["ThreadHint"];
                emoji: components["schemas"]["Emoji"];
                /** @description `next_cursor` of the page before this one */
                cursor?: components["parameters"]["Cursor"];
                /** @description How many items at most */
                page_size?: components["parameters"]["PageSize"];
            };
            header?: {
                /** @description The device, if the token names none. The query parameter `device_id` serves too; without any it is `default`. */
                "X-Device-Id"?: components["parameters"]["DeviceId"];
                /**
                 * @description Echoed if it is 1 to 128 visible ASCII characters
                 * @example 3f2c9a7e41d80b56
                 */
                "X-Request-Id"?: components["parameters"]["RequestId"];
            };
            path: {
                /** @description The message */
                id: components["parameters"]["MessageId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The page */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ReactionPage"];
                };
            };
            400: components["responses"]["InvalidRequest"];
            401: components["responses"]["Unauthenticated"];
            403: components["responses"]["NotAParticipant"];
            404: components["responses"]["MessageNotFound"];
            408: components["responses"]["RequestTimeout"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    addReaction: {
        parameters: {
            query?: {
                /** @description The thread of the message, which spares a cluster a search; with a wrong one the message is not found */
                thread_id?: components["parameters"]["ThreadHint"];
            };
            header?: {
                /** @description The device, if the token names none. The query parameter `device_id` serves too; without any it is `default`. */
                "X-Device-Id"?: components["parameters"]["DeviceId"];
                /**
                 * @description Echoed if it is 1 to 128 visible ASCII characters
                 * @example 3f2c9a7e41d80b56
                 */
                "X-Request-Id"?: components["parameters"]["RequestId"];
            };
            path: {
                /** @description The message */
                id: components["parameters"]["MessageId"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["AddReaction"];
            };
        };
        responses: {
            /** @description The message */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Message"];
                };
            };
            400: components["responses"]["InvalidRequest"];
            401: components["responses"]["Unauthenticated"];
            403: components["responses"]["NotAParticipant"];
            404: components["responses"]["MessageNotFound"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["NotReactable"];
            413: components["responses"]["BodyTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    removeReaction: {
        parameters: {
            query?: {
                /** @description The thread of the message, which spares a cluster a search; with a wrong one the message is not found */
                thread_id?: components["parameters"]["ThreadHint"];
            };
            header?: {
                /** @description The device, if the token names none. The query parameter `device_id` serves too; without any it is `default`. */
                "X-Device-Id"?: components["parameters"]["DeviceId"];
                /**
                 * @description Echoed if it is 1 to 128 visible ASCII characters
                 * @example 3f2c9a7e41d80b56
                 */
                "X-Request-Id"?: components["parameters"]["RequestId"];
            };
            path: {
                /** @description The message */
                id: components["parameters"]["MessageId"];
                /** @description The reaction, percent-encoded */
                emoji: components["schemas"]["Emoji"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The caller has no such reaction on the message */
            204: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["InvalidRequest"];
            401: components["responses"]["Unauthenticated"];
            403: components["responses"]["NotAParticipant"];
            404: components["responses"]["MessageNotFound"];
            408: components["responses"]["RequestTimeout"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    reportMessage: {
        parameters: {
            query?: {
                /** @description The thread of the message, which spares a cluster a search; with a wrong one the message is not found */
                thread_id?: components["parameters"]["ThreadHint"];
            };
            header?: {
                /** @description The device, if the token names none. The query parameter `device_id` serves too; without any it is `default`. */
                "X-Device-Id"?: components["parameters"]["DeviceId"];
                /**
                 * @description Echoed if it is 1 to 128 visible ASCII characters
                 * @example 3f2c9a7e41d80b56
                 */
                "X-Request-Id"?: components["parameters"]["RequestId"];
            };
            path: {
                /** @description The message */
                id: components["parameters"]["MessageId"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ReportMessage"];
            };
        };
        responses: {
            /** @description The caller has reported this message before; this is that report */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ReportReceipt"];
                };
            };
            /** @description The report is stored */
            201: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ReportReceipt"];
                };
            };
            400: components["responses"]["InvalidRequest"];
            401: components["responses"]["Unauthenticated"];
            403: components["responses"]["NotAParticipant"];
            404: components["responses"]["MessageNotFound"];
            408: components["responses"]["RequestTimeout"];
            413: components["responses"]["BodyTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    countPrekeys: {
        parameters: {
            query?: never;
            header?: {
                /** @description The device, if the token names none. The query parameter `device_id` serves too; without any it is `default`. */
                "X-Device-Id"?: components["parameters"]["DeviceId"];
                /**
                 * @description Echoed if it is 1 to 128 visible ASCII characters
                 * @example 3f2c9a7e41d80b56
                 */
                "X-Request-Id"?: components["parameters"]["RequestId"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The devices that have keys */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["PrekeyStatuses"];
                };
            };
            400: components["responses"]["InvalidRequest"];
            401: components["responses"]["Unauthenticated"];
            403: components["responses"]["Forbidden"];
            408: components["responses"]["RequestTimeout"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    uploadPrekeys: {
        parameters: {
            query?: never;
            header?: {
                /** @description The device, if the token names none. The query parameter `device_id` serves too; without any it is `default`. */
                "X-Device-Id"?: components["parameters"]["DeviceId"];
                /**
                 * @description Echoed if it is 1 to 128 visible ASCII characters
                 * @example 3f2c9a7e41d80b56
                 */
                "X-Request-Id"?: components["parameters"]["RequestId"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["PrekeyUpload"];
            };
        };
        responses: {
            /** @description What is stored of the device now */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["PrekeysStored"];
                };
            };
            400: components["responses"]["InvalidRequest"];
            401: components["responses"]["Unauthenticated"];
            403: components["responses"]["Forbidden"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["TooManyDevices"];
            413: components["responses"]["BodyTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    listDevices: {
        parameters: {
            query?: never;
            header?: {
                /** @description The device, if the token names none. The query parameter `device_id` serves too; without any it is `default`. */
                "X-Device-Id"?: components["parameters"]["DeviceId"];
                /**
                 * @description Echoed if it is 1 to 128 visible ASCII characters
                 * @example 3f2c9a7e41d80b56
                 */
                "X-Request-Id"?: components["parameters"]["RequestId"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The devices */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Devices"];
                };
            };
            400: components["responses"]["InvalidRequest"];
            401: components["responses"]["Unauthenticated"];
            403: components["responses"]["Forbidden"];
            408: components["responses"]["RequestTimeout"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    removeDevice: {
        parameters: {
            query?: never;
            header?: {
                /** @description The device, if the token names none. The query parameter `device_id` serves too; without any it is `default`. */
                "X-Device-Id"?: components["parameters"]["DeviceId"];
                /**
                 * @description Echoed if it is 1 to 128 visible ASCII characters
                 * @example 3f2c9a7e41d80b56
                 */
                "X-Request-Id"?: components["parameters"]["RequestId"];
            };
            path: {
                /** @description The device */
                device_id: components["schemas"]["DeviceId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is removed */
            204: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["InvalidRequest"];
            401: components["responses"]["Unauthenticated"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["DeviceNotFound"];
            408: components["responses"]["RequestTimeout"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    listDevicesOf: {
        parameters: {
            query?: never;
            header?: {
                /** @description The device, if the token names none. The query parameter `device_id` serves too; without any it is `default`. */
                "X-Device-Id"?: components["parameters"]["DeviceId"];
                /**
                 * @description Echoed if it is 1 to 128 visible ASCII characters
                 * @example 3f2c9a7e41d80b56
                 */
                "X-Request-Id"?: components["parameters"]["RequestId"];
            };
            path: {
                /** @description The user */
                id: components["schemas"]["UserId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The devices, in order of their ids */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DeviceIdentities"];
                };
            };
            400: components["responses"]["InvalidRequest"];
            401: components["responses"]["Unauthenticated"];
            403: components["responses"]["NoSharedThread"];
            404: components["responses"]["NoPrekeys"];
            408: components["responses"]["RequestTimeout"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    fetchPrekeys: {
        parameters: {
            query?: never;
            header?: {
                /** @description The device, if the token names none. The query parameter `device_id` serves too; without any it is `default`. */
                "X-Device-Id"?: components["parameters"]["DeviceId"];
                /**
                 * @description Echoed if it is 1 to 128 visible ASCII characters
                 * @example 3f2c9a7e41d80b56
                 */
                "X-Request-Id"?: components["parameters"]["RequestId"];
            };
            path: {
                /** @description The user */
                id: components["schemas"]["UserId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A bundle with at least one device */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["PrekeyBundle"];
                };
            };
            400: components["responses"]["InvalidRequest"];
            401: components["responses"]["Unauthenticated"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoPrekeys"];
            408: components["responses"]["RequestTimeout"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["Internal"];
            503: components["responses"]["PrekeysExhausted"];
        };
    };
    getPresence: {
        parameters: {
            query?: never;
            header?: {
                /** @description The device, if the token names none. The query parameter `device_id` serves too; without any it is `default`. */
                "X-Device-Id"?: components["parameters"]["DeviceId"];
                /**
                 * @description Echoed if it is 1 to 128 visible ASCII characters
                 * @example 3f2c9a7e41d80b56
                 */
                "X-Request-Id"?: components["parameters"]["RequestId"];
            };
            path: {
                /** @description The user */
                id: components["schemas"]["UserId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The presence */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Presence"];
                };
            };
            400: components["responses"]["InvalidRequest"];
            401: components["responses"]["Unauthenticated"];
            403: components["responses"]["NoSharedThread"];
            408: components["responses"]["RequestTimeout"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    countUnread: {
        parameters: {
            query?: never;
            header?: {
                /** @description The device, if the token names none. The query parameter `device_id` serves too; without any it is `default`. */
                "X-Device-Id"?: components["parameters"]["DeviceId"];
                /**
                 * @description Echoed if it is 1 to 128 visible ASCII characters
                 * @example 3f2c9a7e41d80b56
                 */
                "X-Request-Id"?: components["parameters"]["RequestId"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The counts */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["UnreadCounts"];
                };
            };
            400: components["responses"]["InvalidRequest"];
            401: components["responses"]["Unauthenticated"];
            403: components["responses"]["Forbidden"];
            408: components["responses"]["RequestTimeout"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    listBlocks: {
        parameters: {
            query?: {
                /** @description `next_cursor` of the page before this one */
                cursor?: components["parameters"]["Cursor"];
                /** @description How many items at most */
                page_size?: components["parameters"]["PageSize"];
            };
            header?: {
                /** @description The device, if the token names none. The query parameter `device_id` serves too; without any it is `default`. */
                "X-Device-Id"?: components["parameters"]["DeviceId"];
                /**
                 * @description Echoed if it is 1 to 128 visible ASCII characters
                 * @example 3f2c9a7e41d80b56
                 */
                "X-Request-Id"?: components["parameters"]["RequestId"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The blocks */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Blocks"];
                };
            };
            400: components["responses"]["InvalidRequest"];
            401: components["responses"]["Unauthenticated"];
            403: components["responses"]["Forbidden"];
            408: components["responses"]["RequestTimeout"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    blockUser: {
        parameters: {
            query?: never;
            header?: {
                /** @description The device, if the token names none. The query parameter `device_id` serves too; without any it is `default`. */
                "X-Device-Id"?: components["parameters"]["DeviceId"];
                /**
                 * @description Echoed if it is 1 to 128 visible ASCII characters
                 * @example 3f2c9a7e41d80b56
                 */
                "X-Request-Id"?: components["parameters"]["RequestId"];
            };
            path: {
                /** @description Whom to block; not oneself */
                uid: components["schemas"]["UserId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The user is blocked */
            204: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["InvalidRequest"];
            401: components["responses"]["Unauthenticated"];
            403: components["responses"]["Forbidden"];
            408: components["responses"]["RequestTimeout"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    unblockUser: {
        parameters: {
            query?: never;
            header?: {
                /** @description The device, if the token names none. The query parameter `device_id` serves too; without any it is `default`. */
                "X-Device-Id"?: components["parameters"]["DeviceId"];
                /**
                 * @description Echoed if it is 1 to 128 visible ASCII characters
                 * @example 3f2c9a7e41d80b56
                 */
                "X-Request-Id"?: components["parameters"]["RequestId"];
            };
            path: {
                /** @description Whom to unblock; not oneself */
                uid: components["schemas"]["UserId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The user is not blocked */
            204: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["InvalidRequest"];
            401: components["responses"]["Unauthenticated"];
            403: components["responses"]["Forbidden"];
            408: components["responses"]["RequestTimeout"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    listReports: {
        parameters: {
            query?: {
                /** @description `next_cursor` of the page before this one */
                cursor?: components["parameters"]["Cursor"];
                /** @description How many items at most */
                page_size?: components["parameters"]["PageSize"];
            };
            header?: {
                /** @description The device, if the token names none. The query parameter `device_id` serves too; without any it is `default`. */
                "X-Device-Id"?: components["parameters"]["DeviceId"];
                /**
                 * @description Echoed if it is 1 to 128 visible ASCII characters
                 * @example 3f2c9a7e41d80b56
                 */
                "X-Request-Id"?: components["parameters"]["RequestId"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of reports */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ReportPage"];
                };
            };
            400: components["responses"]["InvalidRequest"];
            401: components["responses"]["Unauthenticated"];
            403: components["responses"]["Forbidden"];
            408: components["responses"]["RequestTimeout"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    denyAttachment: {
        parameters: {
            query?: never;
            header?: {
                /** @description The device, if the token names none. The query parameter `device_id` serves too; without any it is `default`. */
                "X-Device-Id"?: components["parameters"]["DeviceId"];
                /**
                 * @description Echoed if it is 1 to 128 visible ASCII characters
                 * @example 3f2c9a7e41d80b56
                 */
                "X-Request-Id"?: components["parameters"]["RequestId"];
            };
            path: {
                /** @description The SHA-256 of the attachment, as clients send it */
                sha256: components["schemas"]["Sha256"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Such attachments are refused */
            204: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["InvalidRequest"];
            401: components["responses"]["Unauthenticated"];
            403: components["responses"]["Forbidden"];
            408: components["responses"]["RequestTimeout"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    allowAttachment: {
        parameters: {
            query?: never;
            header?: {
                /** @description The device, if the token names none. The query parameter `device_id` serves too; without any it is `default`. */
                "X-Device-Id"?: components["parameters"]["DeviceId"];
                /**
                 * @description Echoed if it is 1 to 128 visible ASCII characters
                 * @example 3f2c9a7e41d80b56
                 */
                "X-Request-Id"?: components["parameters"]["RequestId"];
            };
            path: {
                /** @description The SHA-256 of the attachment, as clients send it */
                sha256: components["schemas"]["Sha256"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Such attachments are accepted */
            204: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["InvalidRequest"];
            401: components["responses"]["Unauthenticated"];
            403: components["responses"]["Forbidden"];
            408: components["responses"]["RequestTimeout"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    connect: {
        parameters: {
            query?: {
                /** @description The newest message id that the device holds; replay goes on from there */
                last_seen_id?: components["schemas"]["MessageId"];
                /** @description The device, if neither the token nor X-Device-Id names one */
                device_id?: components["schemas"]["DeviceId"];
            };
            header?: {
                /** @description The device, if the token names none. The query parameter `device_id` serves too; without any it is `default`. */
                "X-Device-Id"?: components["parameters"]["DeviceId"];
                /**
                 * @description Echoed if it is 1 to 128 visible ASCII characters
                 * @example 3f2c9a7e41d80b56
                 */
                "X-Request-Id"?: components["parameters"]["RequestId"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The connection is open */
            101: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["InvalidRequest"];
            401: components["responses"]["Unauthenticated"];
            403: components["responses"]["ForbiddenOrigin"];
            408: components["responses"]["RequestTimeout"];
            426: components["responses"]["UpgradeRequired"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    healthz: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Echoed if it is 1 to 128 visible ASCII characters
                 * @example 3f2c9a7e41d80b56
                 */
                "X-Request-Id"?: components["parameters"]["RequestId"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: components["responses"]["Health"];
            408: components["responses"]["RequestTimeout"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["Internal"];
            503: components["responses"]["NotReady"];
        };
    };
    readyz: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Echoed if it is 1 to 128 visible ASCII characters
                 * @example 3f2c9a7e41d80b56
                 */
                "X-Request-Id"?: components["parameters"]["RequestId"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: components["responses"]["Health"];
            408: components["responses"]["RequestTimeout"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["Internal"];
            503: components["responses"]["NotReady"];
        };
    };
    metrics: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Echoed if it is 1 to 128 visible ASCII characters
                 * @example 3f2c9a7e41d80b56
                 */
                "X-Request-Id"?: components["parameters"]["RequestId"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: components["responses"]["Metrics"];
            408: components["responses"]["RequestTimeout"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["Internal"];
        };
    };
}
