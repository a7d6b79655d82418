// A slow TCP link: tcp_link.py, since Node.js cannot make a socket's buffers small.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

export class TcpLink {
  static async start(target) {
    const link = new TcpLink();
    link.program = spawn('python3', [fileURLToPath(new URL('tcp_link.py', import.meta.url)), String(target)], { stdio: ['pipe', 'pipe', 'inherit'] });
    const [line] = await once(link.program.stdout, 'data');
    link.port = Number(line);
    return link;
  }

  // Bits a second, each way; 0: as fast as it goes.
  set rate(bps) {
    this.program.stdin.write(`${bps}\n`);
  }

  async stop() {
    const gone = once(this.program, 'exit');
    this.program.stdin.end();
    await gone;
  }
}
