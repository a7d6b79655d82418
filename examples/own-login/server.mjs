// A web server with a login of its own, whose users chat by rt: whoever is signed in here gets a token from /chat-token.
//
//   npm install pg && PGUSER=app_web PGDATABASE=app PORT=8080 node server.mjs
//
// In the page:  new Client({ url, getToken: async () => (await fetch('/chat-token')).text() })
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import pg from 'pg';

const database = new pg.Pool();
const sessions = new Map(); // cookie to employee

// Stands for the login that the application has.
function signIn(employee) {
  const id = randomUUID();
  sessions.set(id, employee);
  return `session=${id}; HttpOnly; SameSite=Strict; Path=/`;
}

function employeeOf(request) {
  return sessions.get(/session=([\w-]+)/.exec(request.headers.cookie ?? '')?.[1]);
}

async function answer(request, response) {
  const url = new URL(request.url, 'http://localhost');
  if (request.method === 'POST' && url.pathname === '/login') {
    response.writeHead(204, { 'set-cookie': signIn(Number(url.searchParams.get('employee'))) }).end();
    return;
  }
  if (url.pathname !== '/chat-token') {
    response.writeHead(404).end();
    return;
  }
  const employee = employeeOf(request);
  const { rows } = employee === undefined ? { rows: [] } : await database.query('SELECT app.chat_token($1) AS token', [employee]);
  if (rows[0]?.token) response.writeHead(200, { 'content-type': 'text/plain', 'cache-control': 'no-store' }).end(rows[0].token);
  else response.writeHead(403).end();
}

const server = createServer((request, response) => {
  answer(request, response).catch((error) => {
    console.error(error.message);
    response.writeHead(500).end();
  });
});
server.listen(Number(process.env.PORT ?? 8080), '127.0.0.1', () => console.log(`listening on ${server.address().port}`));
