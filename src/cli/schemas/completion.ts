// What `completion` prints under --json.
import { choice, document, text } from './parts.js';

export const completion = document('completion', 'What a shell needs to complete commands.', {
  shell: choice(['bash', 'zsh', 'fish'], 'Which shell it is for.'),
  script: text('The script.'),
});
