// Starts Swagger UI. Nothing is loaded from elsewhere: no validator badge either.
const dark = window.matchMedia('(prefers-color-scheme: dark)');
const follow = () => document.documentElement.classList.toggle('dark-mode', dark.matches);
dark.addEventListener('change', follow);
follow();
window.ui = SwaggerUIBundle({
  url: 'openapi.json',
  dom_id: '#page',
  deepLinking: true,
  // The document of all contracts has hundreds of operations: Swagger UI takes many seconds to draw them all.
  docExpansion: document.body.dataset.all === undefined ? 'list' : 'none',
  defaultModelsExpandDepth: 0,
  filter: true,
  validatorUrl: null,
});
