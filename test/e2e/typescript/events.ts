// A page of a client in TypeScript: it reads a thread's log with nothing but the
// types that openapi-typescript makes of openapi.yaml. It is compiled, not run.
import type {components, paths} from './openapi';

type Page = paths['/v1/threads/{id}/events']['get']['responses'][200]['content']['application/json'];
type Event = Page['events'][number];

interface Message {
  sender: string;
  ciphertext: string;
  contentType: components['schemas']['ContentType'];
  reactions: Map<string, Set<string>>;
  attachment?: {id: string; sha256?: string};
  replyTo?: string;
}

// Thread is what a device keeps of one thread.
class Thread {
  title: string | null = null;
  readonly type: components['schemas']['ThreadType'];
  readonly messages = new Map<string, Message>();
  readonly roles = new Map<string, 'admin' | 'member'>();
  readonly pins = new Set<string>();
  seq = 0;

  constructor(type: components['schemas']['ThreadType']) {
    this.type = type;
  }

  // apply follows one event of the log. Every event is handled: unhandled does not
  // compile for one that is left out.
  apply(e: Event): void {
    this.seq = e.seq;
    switch (e.t) {
      case 'msg': {
        const message: Message = {sender: e.sender_id, ciphertext: e.ciphertext, contentType: e.content_type, reactions: new Map()};
        if (e.attachment_id !== undefined) message.attachment = {id: e.attachment_id, sha256: e.attachment_sha256};
        if (e.redelivery === undefined) message.replyTo = e.reply_to_msg_id;
        this.messages.set(e.id, message);
        return;
      }
      case 'edit': {
        const message = this.messages.get(e.id);
        if (message) [message.ciphertext, message.contentType] = [e.ciphertext, e.content_type];
        return;
      }
      case 'del':
        console.log(e.reason === 'expired' ? 'expired' : `deleted by ${e.by ?? 'nobody'}`);
        this.messages.delete(e.id);
        this.pins.delete(e.id);
        return;
      case 'reaction': {
        const reactions = this.messages.get(e.id)?.reactions;
        const by = reactions?.get(e.emoji) ?? new Set<string>();
        if (e.op === 'add') by.add(e.by);
        else by.delete(e.by);
        reactions?.set(e.emoji, by);
        return;
      }
      case 'thread':
        return this.change(e);
      default:
        return unhandled(e);
    }
  }

  private change(e: Extract<Event, {t: 'thread'}>): void {
    switch (e.event) {
      case 'created':
        for (const member of e.participants) this.roles.set(member.user_id, member.role);
        this.title = e.title ?? null;
        return;
      case 'title_changed':
        this.title = e.title;
        return;
      case 'participant_added':
      case 'role_changed':
        this.roles.set(e.user_id, e.role);
        return;
      case 'participant_removed':
        this.roles.delete(e.user_id);
        return;
      case 'pinned':
        this.pins.add(e.message_id);
        return;
      case 'unpinned':
        this.pins.delete(e.message_id);
        return;
      default:
        return unhandled(e);
    }
  }
}

function unhandled(e: never): void {
  console.warn('an event of a later version', e);
}

// fetchLog reads a whole log, page by page.
export async function fetchLog(server: string, token: string, id: string, thread: Thread): Promise<void> {
  const path = '/v1/threads/{id}/events' satisfies keyof paths;
  for (let since: number | null = thread.seq; since !== null; ) {
    const response = await fetch(`${server}${path.replace('{id}', id)}?since_seq=${since}`, {headers: {Authorization: `Bearer ${token}`}});
    const page = (await response.json()) as Page;
    page.events.forEach(e => thread.apply(e));
    since = page.next_since_seq;
  }
}

// The types are exact. Of a member without a type all of the above would compile,
// so these are compared with what they have to be.
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
type Of<T extends Event['t']> = Extract<Event, {t: T}>;

export const exact: true[] = [
  true satisfies Same<Event['t'], 'msg' | 'edit' | 'del' | 'reaction' | 'thread'>,
  true satisfies Same<Of<'msg'>['ciphertext'], string>,
  true satisfies Same<Of<'edit'>['ciphertext'], string>,
  true satisfies Same<Of<'del'>['by'], string | null>,
  true satisfies Same<Of<'del'>['reason'], 'sender' | 'expired'>,
  true satisfies Same<Of<'reaction'>['emoji'], string>,
  true satisfies Same<Of<'reaction'>['op'], 'add' | 'remove'>,
  true satisfies Same<Event['seq'], number>,
];

export function wrong(e: Event): void {
  // @ts-expect-error not every event has content
  console.log(e.ciphertext);
  // @ts-expect-error only frames of a connection are numbered
  console.log(e.frame_seq);
  // @ts-expect-error there is no such event
  console.log(e.t === 'message');
}
