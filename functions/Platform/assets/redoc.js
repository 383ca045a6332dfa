// Starts ReDoc, in the colours that the reader's system asks for.
const dark = window.matchMedia('(prefers-color-scheme: dark)').matches;
const theme = dark
  ? {
      colors: {
        primary: { main: '#8ab4f8' },
        text: { primary: '#e6e6e6', secondary: '#b8b8b8' },
        border: { dark: '#555', light: '#3a3a3a' },
        http: { get: '#2f7d32', post: '#1f5fa8', put: '#8a5a00', patch: '#8a5a00', delete: '#a32020' },
      },
      schema: { nestedBackground: '#242424', typeNameColor: '#b8b8b8', typeTitleColor: '#b8b8b8' },
      sidebar: { backgroundColor: '#1b1b1b', textColor: '#e6e6e6' },
      rightPanel: { backgroundColor: '#101010' },
    }
  : {};
Redoc.init('openapi.json', { theme, hideLoading: true, nativeScrollbars: true, expandResponses: '200,201' }, document.getElementById('page'));
