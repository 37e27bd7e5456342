// What `config` commands print under --json.
import { document, text } from './parts.js';

export const configUnit = document('config-unit', 'A unit file for systemd.', {
  name: text('Name of the file, below /etc/systemd/system.'),
  text: text('What belongs into it.'),
});
