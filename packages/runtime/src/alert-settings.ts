/** The settings of the alerts. */
import { Type } from '@sinclair/typebox'

const Count = (description: string, value: number) => Type.Integer({ minimum: 0, default: value, description })

export const alertSettings = {
  EVENTFLOW_ALERT_WEBHOOK_URL: Type.String({
    pattern: '^https?://',
    default: '',
    description: 'URL that alerts are posted to; without it they are only logged',
  }),
  EVENTFLOW_ALERT_WEBHOOK_SECRET: Type.String({
    pattern: '^whsec_[A-Za-z0-9+/]{32,86}={0,2}$',
    default: '',
    description: 'Secret that signs the posts: whsec_ and 24 to 64 bytes in base64',
  }),
  EVENTFLOW_ALERT_OLDEST_SECONDS: Count('Highest age of the oldest unsettled event, in seconds', 60),
  EVENTFLOW_ALERT_LAG_SECONDS: Count('Longest time that events may wait for delivery, in seconds', 30),
  EVENTFLOW_ALERT_STALLED_SECONDS: Count(
    'Longest time without a settled event while there is a backlog, in seconds',
    60,
  ),
  EVENTFLOW_ALERT_DEAD_LETTERS: Count('Dead letters that may be written in five minutes', 100),
  EVENTFLOW_ALERT_AFTER_SECONDS: Count('Seconds that a reading must last before an alert is raised or cleared', 30),
}
