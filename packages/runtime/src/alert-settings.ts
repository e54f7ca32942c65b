/** The settings of the alerts. */
import { Type } from '@sinclair/typebox'

const Count = (description: string, value: number) => Type.Integer({ minimum: 0, default: value, description })

export const alertSettings = {
  EVENTFLOW_ALERT_WEBHOOK_URL: Type.String({
    pattern: '^https?://',
    default: '',
    description: 'Where alerts are posted to; without it they are only logged',
  }),
  EVENTFLOW_ALERT_WEBHOOK_SECRET: Type.String({
    pattern: '^whsec_[A-Za-z0-9+/]{32,86}={0,2}$',
    default: '',
    description: 'What the posts are signed with: whsec_ and 24 to 64 bytes in base64',
  }),
  EVENTFLOW_ALERT_OLDEST_SECONDS: Count('How old the oldest unsettled event may be', 60),
  EVENTFLOW_ALERT_LAG_SECONDS: Count('How long events may wait for a worker', 30),
  EVENTFLOW_ALERT_STALLED_SECONDS: Count('How long nothing may be settled while there is something to do', 60),
  EVENTFLOW_ALERT_DEAD_LETTERS: Count('Dead letters that may be written in five minutes', 100),
  EVENTFLOW_ALERT_AFTER_SECONDS: Count(
    'How long it must last before an alert is raised, and be over before it ends',
    30,
  ),
}
