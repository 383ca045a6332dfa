// Starts ReDoc. Its colours are made for a light page and hard to read on a dark one, so it has one look.
document.documentElement.style.colorScheme = 'light';
Redoc.init('openapi.json', { hideLoading: true, nativeScrollbars: true, expandResponses: '200,201' }, document.getElementById('page'));
