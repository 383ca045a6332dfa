using System.Text;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Functions.Http;
using FunctionsRegistry.Functions.OpenApi;
using Microsoft.Net.Http.Headers;

namespace FunctionsRegistry.Functions.Platform;

/// <summary>The API's description and its pages, for all contracts at the root and for each below its prefix. Everything they load comes from this app.</summary>
public sealed class PageFunctions(OpenApiDocuments documents, PageAssets assets)
{
    /// <summary>Swagger UI and ReDoc write styles into the page and search in a worker of their own.</summary>
    private const string Policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; "
        + "connect-src 'self'; worker-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

    /// <summary>GET /openapi.json: all contracts.</summary>
    [Function("pages_openapi"), Public, Unlimited, Answers("application/json")]
    public IResult GetDocument([HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "openapi.json")] HttpRequest request) => Document(request, "");

    /// <summary>GET /{contract}/openapi.json: one contract, with the paths that its clients know.</summary>
    [Function("pages_openapi_contract"), Public, Unlimited, Answers("application/json")]
    public IResult GetDocumentOfContract(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "{contract}/openapi.json")] HttpRequest request, string contract) =>
        Document(request, Known(request, contract));

    /// <summary>GET /docs: Swagger UI.</summary>
    [Function("pages_docs"), Public, Unlimited, Undescribed]
    public IResult GetDocs([HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "docs")] HttpRequest request) => SwaggerUi(request, "");

    /// <summary>GET /{contract}/docs.</summary>
    [Function("pages_docs_contract"), Public, Unlimited, Undescribed]
    public IResult GetDocsOfContract([HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "{contract}/docs")] HttpRequest request, string contract) =>
        SwaggerUi(request, Known(request, contract));

    /// <summary>GET /redoc: ReDoc.</summary>
    [Function("pages_redoc"), Public, Unlimited, Undescribed]
    public IResult GetRedoc([HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "redoc")] HttpRequest request) => Redoc(request, "");

    /// <summary>GET /{contract}/redoc.</summary>
    [Function("pages_redoc_contract"), Public, Unlimited, Undescribed]
    public IResult GetRedocOfContract([HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "{contract}/redoc")] HttpRequest request, string contract) =>
        Redoc(request, Known(request, contract));

    /// <summary>GET /page-assets/{file}.</summary>
    [Function("pages_assets"), Public, Unlimited, Undescribed]
    public IResult GetAsset([HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "page-assets/{file}")] HttpRequest request, string file) =>
        Write(request, file);

    /// <summary>GET /{contract}/page-assets/{file}: a contract's own port knows no other path.</summary>
    [Function("pages_assets_contract"), Public, Unlimited, Undescribed]
    public IResult GetAssetOfContract(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "{contract}/page-assets/{file}")] HttpRequest request, string contract, string file)
    {
        Known(request, contract);
        return Write(request, file);
    }

    /// <summary>What every page of ours allows itself.</summary>
    internal static void Protect(HttpResponse response)
    {
        response.Headers.ContentSecurityPolicy = Policy;
        response.Headers.XContentTypeOptions = "nosniff";
        response.Headers["Referrer-Policy"] = "no-referrer";
    }

    private static string Known(HttpRequest request, string contract) =>
        OpenApiDocuments.Contracts.ContainsKey(contract) ? contract : throw CommonErrors.RouteNotFound(request.Method, request.Path);

    private IResult Document(HttpRequest request, string contract)
    {
        request.HttpContext.Response.Headers.AccessControlAllowOrigin = "*";
        request.HttpContext.Response.Headers.CacheControl = "no-cache";
        var bytes = documents.Get(contract);
        return Results.Bytes(
            bytes, "application/json; charset=utf-8", entityTag: new EntityTagHeaderValue($"\"{System.IO.Hashing.XxHash3.HashToUInt64(bytes):x16}\""));
    }

    private IResult SwaggerUi(HttpRequest request, string contract) => Page(request, contract, "docs.js", "swagger-ui-bundle.js", "swagger-ui.css");

    private IResult Redoc(HttpRequest request, string contract) => Page(request, contract, "redoc.js", "redoc.standalone.js", null);

    private IResult Page(HttpRequest request, string contract, string start, string library, string? style)
    {
        Protect(request.HttpContext.Response);
        request.HttpContext.Response.Headers.CacheControl = "no-cache";
        var title = contract.Length == 0 ? "FunctionsRegistry" : OpenApiDocuments.Contracts[contract];
        var sheet = style is null ? "" : $"<link rel=\"stylesheet\" href=\"{assets.Address(style)}\">";
        return Results.Content(
            $$"""
            <!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
            <title>{{title}} - API</title><link rel="icon" href="data:,">{{sheet}}
            <style>:root { color-scheme: light dark; } body { margin: 0; }</style></head>
            <body{{(contract.Length == 0 ? " data-all" : "")}}><div id="page"></div><noscript><p>This page needs JavaScript; <a href="openapi.json">openapi.json</a> is what it shows.</p></noscript>
            <script src="{{assets.Address(library)}}"></script><script src="{{assets.Address(start)}}"></script></body></html>
            """, "text/html; charset=utf-8", Encoding.UTF8);
    }

    private IResult Write(HttpRequest request, string file)
    {
        var asset = assets.Find(file) ?? throw CommonErrors.RouteNotFound(request.Method, request.Path);
        var headers = request.HttpContext.Response.Headers;
        headers.CacheControl = request.Query["v"] == asset.Hash ? "public, max-age=31536000, immutable" : "no-cache";
        headers.XContentTypeOptions = "nosniff";
        headers.Vary = "Accept-Encoding";
        if (!request.Headers.AcceptEncoding.ToString().Contains("gzip", StringComparison.OrdinalIgnoreCase))
            return Results.Bytes(asset.Bytes, asset.ContentType, entityTag: new EntityTagHeaderValue($"\"{asset.Hash}\""));
        headers.ContentEncoding = "gzip";
        return Results.Bytes(asset.Compressed, asset.ContentType, entityTag: new EntityTagHeaderValue($"\"{asset.Hash}-gzip\""));
    }
}
