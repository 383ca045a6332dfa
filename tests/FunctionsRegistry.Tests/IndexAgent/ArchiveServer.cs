using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace FunctionsRegistry.Tests.IndexAgent;

/// <summary>A web server on loopback that serves an archive, and some things that are none.</summary>
internal sealed class ArchiveServer : IAsyncDisposable
{
    private readonly WebApplication _app;

    private ArchiveServer(WebApplication app) => _app = app;

    public string Address => _app.Urls.First() + "/";

    public static async Task<ArchiveServer> StartAsync(byte[] archive)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        var app = builder.Build();
        app.MapGet("/ok", () => Results.Bytes(archive, "application/gzip"));
        app.MapGet("/text", () => Results.Text("hello, this is no archive at all"));
        app.MapGet("/endless", async (HttpContext http) =>
        {
            await http.Response.Body.WriteAsync(new byte[] { 0x1F, 0x8B, 8, 0 });
            await http.Response.Body.FlushAsync();
            await Task.Delay(Timeout.Infinite, http.RequestAborted);
        });
        app.MapGet("/huge", async (HttpContext http) =>
        {
            // A gzip header with a comment that does not end would be refused at once; stored blocks of noise go on.
            var noise = new byte[64 << 10];
            new Random(1).NextBytes(noise);
            await http.Response.Body.WriteAsync(new byte[] { 0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3 });
            var header = Header("noise.bin", 16L << 20);
            await http.Response.Body.WriteAsync(Block(header));
            for (var i = 0; i < 256; i++)
                await http.Response.Body.WriteAsync(Block(noise[..65_535]));
        });
        await app.StartAsync();
        return new ArchiveServer(app);
    }

    private static byte[] Header(string path, long size) => new Marketplace.RawTarball().Entry('0', path, [], claimedSize: size).BuildTar(endMark: false);

    // A block of deflate that is stored as it is, and not the last one.
    private static byte[] Block(byte[] bytes) => [0, (byte)bytes.Length, (byte)(bytes.Length >> 8), (byte)~bytes.Length, (byte)(~bytes.Length >> 8), .. bytes];

    public async ValueTask DisposeAsync() => await _app.DisposeAsync();
}
