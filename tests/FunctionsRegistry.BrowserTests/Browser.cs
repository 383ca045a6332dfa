using System.Diagnostics;
using FunctionsRegistry.Tests.Support;
using Microsoft.Playwright;

namespace FunctionsRegistry.BrowserTests;

/// <summary>The app, and Chromium. A machine without it fails the run and is told how to get it.</summary>
public sealed class BrowserApp(TestServices services) : RegistryApp(services)
{
    private static readonly string[] s_places = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

    private IPlaywright? _playwright;

    public IBrowser Browser { get; private set; } = null!;

    /// <summary>The rules of axe-core.</summary>
    public string Axe { get; private set; } = "";

    public override async ValueTask InitializeAsync()
    {
        Axe = await ReadAxeAsync();
        await base.InitializeAsync();
        var executable = Environment.GetEnvironmentVariable("REGISTRY_TEST_CHROMIUM") ?? s_places.FirstOrDefault(File.Exists)
            ?? throw new InvalidOperationException("No Chromium: apt-get install chromium, or name one in REGISTRY_TEST_CHROMIUM.");
        _playwright = await Playwright.CreateAsync();
        // No sandbox: it cannot be had as root, and these pages are our own.
        Browser = await _playwright.Chromium.LaunchAsync(new() { ExecutablePath = executable, Args = ["--no-sandbox", "--disable-dev-shm-usage"] });
    }

    public override async ValueTask DisposeAsync()
    {
        if (Browser is not null)
            await Browser.DisposeAsync();
        _playwright?.Dispose();
        await base.DisposeAsync();
        GC.SuppressFinalize(this);
    }

    /// <summary>A fresh page that reaches this app and nothing else; what it asked others for is in <paramref name="elsewhere"/>, its complaints in <paramref name="complaints"/>.</summary>
    public async Task<IPage> OpenAsync(string path, List<string> elsewhere, List<string> complaints, BrowserNewContextOptions? options = null)
    {
        options ??= new();
        options.BaseURL = Client.BaseAddress!.ToString();
        var context = await Browser.NewContextAsync(options);
        context.SetDefaultTimeout(30_000);
        await context.RouteAsync(url => !url.StartsWith(options.BaseURL, StringComparison.Ordinal) && !url.StartsWith("data:", StringComparison.Ordinal) && !url.StartsWith("blob:", StringComparison.Ordinal), route =>
        {
            elsewhere.Add(route.Request.Url);
            return route.AbortAsync();
        });
        var page = await context.NewPageAsync();
        page.PageError += (_, error) => complaints.Add(error);
        page.Console += (_, message) =>
        {
            if (message.Type == "error")
                complaints.Add(message.Text);
        };
        await page.GotoAsync(path);
        return page;
    }

    private static async Task<string> ReadAxeAsync()
    {
        var file = Path.Combine(AppContext.BaseDirectory, "node_modules", "axe-core", "axe.min.js");
        if (!File.Exists(file))
        {
            using var npm = Process.Start(new ProcessStartInfo("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"]) { WorkingDirectory = AppContext.BaseDirectory })!;
            await npm.WaitForExitAsync().WaitAsync(TimeSpan.FromMinutes(2));
            npm.ExitCode.ShouldBe(0);
        }
        return await File.ReadAllTextAsync(file);
    }
}
