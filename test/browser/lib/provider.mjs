// An identity provider: npm oidc-provider, on a free port of localhost, with a user for each name that somebody signs in with.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

export const CLIENT = 'rt-web';

// `jwt`: access tokens are JWTs for the audience "chat", else opaque.  `redirects` are the addresses of the application.
export async function provide({ redirects, jwt = true, tokenSeconds = 300, claims = () => ({}) }) {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const issuer = `http://localhost:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{
      client_id: CLIENT, token_endpoint_auth_method: 'none', redirect_uris: redirects, grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'], application_type: 'native',
    }],
    clientBasedCORS: () => true,
    pkce: { required: () => true },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, name: `${id} of the provider`, email: `${id}@example.com`, ...claims(id) }) }),
    claims: { openid: ['sub'], profile: ['name'], email: ['email'] },
    conformIdTokenClaims: false,
    extraTokenClaims: (_, token) => (token.accountId ? { name: `${token.accountId} of the provider`, email: `${token.accountId}@example.com` } : {}),
    issueRefreshToken: async () => true,
    rotateRefreshToken: true,
    ttl: { AccessToken: tokenSeconds, IdToken: tokenSeconds, Session: 3600, Grant: 3600, Interaction: 3600, RefreshToken: 3600 },
    features: {
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: jwt,
        defaultResource: () => 'https://chat.example.com',
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({ scope: 'openid', audience: 'chat', accessTokenFormat: 'jwt', accessTokenTTL: tokenSeconds }),
      },
    },
  });
  const requests = [];
  provider.on('grant.error', (context, error) => requests.push(`refused: ${error.message}: ${error.error_detail}`));
  const handle = provider.callback();
  server.on('request', (request, response) => {
    requests.push(`${request.method} ${request.url.split('?')[0]}`);
    handle(request, response);
  });
  return {
    issuer,
    requests,
    jwks: async () => (await fetch(`${issuer}/jwks`)).json(),
    close: () => { server.closeAllConnections(); server.close(); },
  };
}
