// Made by `npm run generate`. Do not edit.

export type paths = Record<string, never>;
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
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
         * Format: int64
         * @description The number of the frame on its connection, 1, 2, 3 … over all frames from the server
         * @example 4
         */
        FrameSeq: number;
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
         * @description 32 bytes as lower-case hexadecimal digits
         * @example 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
         */
        Sha256: string;
        /**
         * @description An emoji or a custom name: at most 64 bytes of UTF-8, no control characters, no slash, and not `.` or `..`
         * @example 👍
         */
        Emoji: string;
        /**
         * Format: int64
         * @description The epoch that a control message began
         * @example 1
         */
        Epoch: number;
        /**
         * @description The ciphertext is left out: it is of a control message and larger than 64 KiB, or the frame would be larger than the Maximum
         *     Packet Size of its client. `GET /v1/messages/{id}` has it.
         * @constant
         */
        Omitted: true;
        /**
         * Format: int64
         * @description The epoch that the newest control message with one began; 0 while there is none
         */
        ThreadEpoch: number;
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
        /** @description A participant as of the event */
        Member: {
            user_id: components["schemas"]["UserId"];
            role: components["schemas"]["Role"];
            joined_at: components["schemas"]["Time"];
        };
        /** @description A message was sent. Read later, it has the present content. */
        MsgFrame: {
            /** @constant */
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
            frame_seq: components["schemas"]["FrameSeq"];
        };
        /** @description A message got new content. Read later, the event has the present content. */
        EditFrame: {
            /** @constant */
            t: "edit";
            /** @description The message; `seq` is the edit's. */
            id: components["schemas"]["MessageId"];
            thread_id: components["schemas"]["ThreadId"];
            seq: components["schemas"]["Seq"];
            sender_id: components["schemas"]["UserId"];
            ciphertext: components["schemas"]["Ciphertext"];
            /**
             * @description The ciphertext is left out, since the frame would be larger than the client's Maximum Packet Size.
             * @constant
             */
            omitted?: true;
            content_type: components["schemas"]["ContentType"];
            edited_at: components["schemas"]["Time"];
            frame_seq: components["schemas"]["FrameSeq"];
        };
        /** @description A message was deleted or has expired. */
        DelFrame: {
            /** @constant */
            t: "del";
            id: components["schemas"]["MessageId"];
            thread_id: components["schemas"]["ThreadId"];
            seq: components["schemas"]["Seq"];
            /** @description Who deleted the message; null where it has expired. */
            by: components["schemas"]["UserId"] | null;
            reason: components["schemas"]["DeletionReason"];
            frame_seq: components["schemas"]["FrameSeq"];
        };
        /** @description Somebody reacted to a message, or took a reaction back. */
        ReactionFrame: {
            /** @constant */
            t: "reaction";
            id: components["schemas"]["MessageId"];
            thread_id: components["schemas"]["ThreadId"];
            seq: components["schemas"]["Seq"];
            by: components["schemas"]["UserId"];
            emoji: components["schemas"]["Emoji"];
            op: components["schemas"]["ReactionOp"];
            at: components["schemas"]["Time"];
            frame_seq: components["schemas"]["FrameSeq"];
        };
        /** @description The thread or its participants have changed; `event` says how. */
        ThreadFrame: {
            /** @constant */
            t: "thread";
        } & (components["schemas"]["ThreadCreatedFrame"] | components["schemas"]["TitleChangedFrame"] | components["schemas"]["ParticipantAddedFrame"] | components["schemas"]["ParticipantRemovedFrame"] | components["schemas"]["RoleChangedFrame"] | components["schemas"]["PinnedFrame"] | components["schemas"]["UnpinnedFrame"]);
        /** @description `by` created the thread. */
        ThreadCreatedFrame: {
            /** @constant */
            t: "thread";
            thread_id: components["schemas"]["ThreadId"];
            seq: components["schemas"]["Seq"];
            /** @constant */
            event: "created";
            type: components["schemas"]["ThreadType"];
            participants: components["schemas"]["Member"][];
            title?: string;
            by: components["schemas"]["UserId"];
            at: components["schemas"]["Time"];
            frame_seq: components["schemas"]["FrameSeq"];
        };
        /** @description `by` gave the group another title, or with null took the title away. */
        TitleChangedFrame: {
            /** @constant */
            t: "thread";
            thread_id: components["schemas"]["ThreadId"];
            seq: components["schemas"]["Seq"];
            /** @constant */
            event: "title_changed";
            title: string | null;
            by: components["schemas"]["UserId"];
            at: components["schemas"]["Time"];
            frame_seq: components["schemas"]["FrameSeq"];
        };
        /** @description `by` added `user_id` to the group. */
        ParticipantAddedFrame: {
            /** @constant */
            t: "thread";
            thread_id: components["schemas"]["ThreadId"];
            seq: components["schemas"]["Seq"];
            /** @constant */
            event: "participant_added";
            user_id: components["schemas"]["UserId"];
            role: components["schemas"]["Role"];
            by: components["schemas"]["UserId"];
            at: components["schemas"]["Time"];
            frame_seq: components["schemas"]["FrameSeq"];
        };
        /** @description `by` removed `user_id` from the group; where both are the same, the user left. */
        ParticipantRemovedFrame: {
            /** @constant */
            t: "thread";
            thread_id: components["schemas"]["ThreadId"];
            seq: components["schemas"]["Seq"];
            /** @constant */
            event: "participant_removed";
            user_id: components["schemas"]["UserId"];
            by: components["schemas"]["UserId"];
            at: components["schemas"]["Time"];
            frame_seq: components["schemas"]["FrameSeq"];
        };
        /** @description `user_id` has another role. `by` gave it, or is the last admin, who left. */
        RoleChangedFrame: {
            /** @constant */
            t: "thread";
            thread_id: components["schemas"]["ThreadId"];
            seq: components["schemas"]["Seq"];
            /** @constant */
            event: "role_changed";
            user_id: components["schemas"]["UserId"];
            role: components["schemas"]["Role"];
            by: components["schemas"]["UserId"];
            at: components["schemas"]["Time"];
            frame_seq: components["schemas"]["FrameSeq"];
        };
        /** @description `by` pinned a message. */
        PinnedFrame: {
            /** @constant */
            t: "thread";
            thread_id: components["schemas"]["ThreadId"];
            seq: components["schemas"]["Seq"];
            /** @constant */
            event: "pinned";
            message_id: components["schemas"]["MessageId"];
            by: components["schemas"]["UserId"];
            at: components["schemas"]["Time"];
            frame_seq: components["schemas"]["FrameSeq"];
        };
        /** @description `by` unpinned a message. A deleted message is unpinned by its `del`, without this event. */
        UnpinnedFrame: {
            /** @constant */
            t: "thread";
            thread_id: components["schemas"]["ThreadId"];
            seq: components["schemas"]["Seq"];
            /** @constant */
            event: "unpinned";
            message_id: components["schemas"]["MessageId"];
            by: components["schemas"]["UserId"];
            at: components["schemas"]["Time"];
            frame_seq: components["schemas"]["FrameSeq"];
        };
        DeliveredFrame: {
            /** @constant */
            t: "delivered";
            thread_id: components["schemas"]["ThreadId"];
            id: components["schemas"]["MessageId"];
            by: components["schemas"]["UserId"];
            at: components["schemas"]["Time"];
            frame_seq: components["schemas"]["FrameSeq"];
        };
        ReadFrame: {
            /** @constant */
            t: "read";
            thread_id: components["schemas"]["ThreadId"];
            by: components["schemas"]["UserId"];
            up_to: components["schemas"]["MessageId"];
            at: components["schemas"]["Time"];
            frame_seq: components["schemas"]["FrameSeq"];
        };
        FailedFrame: {
            /** @constant */
            t: "failed";
            thread_id: components["schemas"]["ThreadId"];
            id: components["schemas"]["MessageId"];
            /** @description The recipient. */
            by: components["schemas"]["UserId"];
            reason: components["schemas"]["FailureReason"];
            frame_seq: components["schemas"]["FrameSeq"];
        };
        TypingFrame: {
            /** @constant */
            t: "typing";
            thread_id: components["schemas"]["ThreadId"];
            user_id: components["schemas"]["UserId"];
            /** @constant */
            ttl_ms: 5000;
            frame_seq: components["schemas"]["FrameSeq"];
        };
        PresenceFrame: {
            /** @constant */
            t: "presence";
            user_id: components["schemas"]["UserId"];
            status: components["schemas"]["PresenceStatus"];
            /** @description null while the user is online, or if it was never online. */
            last_seen_at: null | components["schemas"]["Time"];
            frame_seq: components["schemas"]["FrameSeq"];
        };
        /** @example call.offer */
        SignalName: string;
        /**
         * @description Standard base64 with padding; at most 4 KiB decoded; may be empty
         * @example cmluZw==
         * @example
         */
        SignalData: string;
        SignalFrame: {
            /** @constant */
            t: "signal";
            thread_id: components["schemas"]["ThreadId"];
            user_id: components["schemas"]["UserId"];
            device_id: components["schemas"]["DeviceId"];
            name: components["schemas"]["SignalName"];
            data: components["schemas"]["SignalData"];
            frame_seq: components["schemas"]["FrameSeq"];
        };
        /** @description What the user keeps of a thread has changed, on whichever device. */
        ThreadStateFrame: {
            /** @constant */
            t: "thread_state";
            thread_id: components["schemas"]["ThreadId"];
            me: components["schemas"]["SharedState"];
            frame_seq: components["schemas"]["FrameSeq"];
        };
        /** @description What a user keeps of a thread, as the REST call has it, without `last_client_seq`, which is a device's own */
        SharedState: {
            accepted: boolean;
            muted_until: components["schemas"]["Time"] | null;
            archived: boolean;
            pinned: boolean;
            marked_unread: boolean;
            custom: components["schemas"]["Bytes"] | null;
        };
        FewPrekeys: {
            one_time_prekeys?: unknown;
        };
        FewPQPrekeys: {
            pq_one_time_prekeys: unknown;
        };
        /**
         * @description What happened to a device with keys
         * @enum {string}
         */
        DeviceChange: "added" | "removed" | "identity_changed";
        PrekeysLowFrame: {
            /** @constant */
            t: "prekeys_low";
            /** @description How many the device has left. */
            one_time_prekeys: number;
            /** @description How many post-quantum ones, if the device has a post-quantum key of last resort. One of the two is under 10. */
            pq_one_time_prekeys?: number;
            frame_seq: components["schemas"]["FrameSeq"];
        } | components["schemas"]["FewPrekeys"] | components["schemas"]["FewPQPrekeys"];
        HelloFrame: {
            /** @constant */
            t: "hello";
            store_id: components["schemas"]["StoreId"];
            frame_seq: components["schemas"]["FrameSeq"];
        };
        DevicesFrame: {
            /** @constant */
            t: "devices";
            user_id: components["schemas"]["UserId"];
            device_id: components["schemas"]["DeviceId"];
            change: components["schemas"]["DeviceChange"];
            at: components["schemas"]["Time"];
            frame_seq: components["schemas"]["FrameSeq"];
        };
        CaughtUpFrame: {
            /** @constant */
            t: "caught_up";
            /** @description The newest message that there is for this device; null if there never was one. */
            last_id: null | components["schemas"]["MessageId"];
            /** @description How many durable frames the replay sent. */
            replayed: number;
            store_id: components["schemas"]["StoreId"];
            frame_seq: components["schemas"]["FrameSeq"];
        };
        TokenExpiringFrame: {
            /** @constant */
            t: "token_expiring";
            expires_at: components["schemas"]["Time"];
            frame_seq: components["schemas"]["FrameSeq"];
        };
        AuthFrame: {
            /** @constant */
            t: "auth";
            expires_at: components["schemas"]["Time"];
            frame_seq: components["schemas"]["FrameSeq"];
        };
        PingFrame: {
            /** @constant */
            t: "ping";
            at: components["schemas"]["Time"];
            frame_seq: components["schemas"]["FrameSeq"];
        };
        ErrorFrame: {
            /** @constant */
            t: "error";
            code: string;
            detail: string;
            /** @description MQTT, the packet id of the publish that it is about. */
            packet_id?: number;
            /** @description MQTT, the key of the message that it is about, where it could be read. */
            idempotency_key?: string;
            frame_seq: components["schemas"]["FrameSeq"];
        };
        ClientAckFrame: {
            /** @constant */
            t: "client_ack";
            frame_seq: components["schemas"]["FrameSeq"];
        };
        PongFrame: {
            /** @constant */
            t: "pong";
        };
        /** @description A JSON Web Token */
        Token: string;
        ClientAuthFrame: {
            /** @constant */
            t: "auth";
            token: components["schemas"]["Token"];
        };
        ClientSignalFrame: {
            /** @constant */
            t: "signal";
            thread_id: components["schemas"]["ThreadId"];
            name: components["schemas"]["SignalName"];
            data: components["schemas"]["SignalData"];
        };
        /**
         * Format: binary
         * @description Any bytes, at most 4 KiB
         */
        RawSignalData: string;
        ClientTypingFrame: {
            /** @constant */
            t: "typing";
            /** @description Required on a JSON connection. */
            thread_id?: components["schemas"]["ThreadId"];
        };
        /** @description The schema SendMessage of openapi.yaml with the idempotency key in it */
        Send: {
            /**
             * @description 1 to 64 visible ASCII characters. In MQTT 5 the correlation data serve as the key if it is absent: 1 to 64 bytes, taken
             *     as they are.
             * @example 4f9c-1
             */
            idempotency_key?: string;
            /** @description MQTT 3.1.1 only, in place of MQTT 5's property; there it is an unknown field. */
            response_topic?: string;
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
        /** @description Properties of the PUBLISH in MQTT 5. */
        SendHeaders: {
            responseTopic?: string;
            correlationData?: string;
        };
        /** @description Properties of the PUBLISH. */
        ReplyHeaders: {
            /** @description As the client sent it. */
            correlationData?: string;
            contentType?: components["schemas"]["ReplyContentType"];
        };
        /** @enum {string} */
        ReplyContentType: "application/json" | "application/problem+json";
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
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export type operations = Record<string, never>;
