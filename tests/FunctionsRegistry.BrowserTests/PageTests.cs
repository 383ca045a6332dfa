using System.Text.Json;
using FunctionsRegistry.Tests.Support;
using Microsoft.Playwright;

namespace FunctionsRegistry.BrowserTests;

public sealed class PageTests(BrowserApp app) : IClassFixture<BrowserApp>
{
    private readonly List<string> _elsewhere = [];
    private readonly List<string> _complaints = [];

    [Theory]
    [InlineData(ColorScheme.Light, 1280)]
    [InlineData(ColorScheme.Dark, 1280)]
    [InlineData(ColorScheme.Light, 375)]
    [InlineData(ColorScheme.Dark, 375)]
    public async Task The_front_page_breaks_no_rule_of_axe_and_fits_the_screen(ColorScheme scheme, int width)
    {
        var page = await app.OpenAsync("/", _elsewhere, _complaints, new() { ColorScheme = scheme, ViewportSize = new() { Width = width, Height = 800 } });
        await ShootAsync(page, $"front-{scheme}-{width}");

        (await ViolationsAsync(page)).ShouldBeEmpty();
        (await page.EvaluateAsync<int>("document.documentElement.scrollWidth")).ShouldBeLessThanOrEqualTo(width);
        (await page.Locator(".contracts li").CountAsync()).ShouldBeGreaterThanOrEqualTo(5);
        (await page.Locator("button[data-copy]").First.IsVisibleAsync()).ShouldBeTrue();
        ShouldBeCalm();
    }

    [Fact]
    public async Task A_command_of_the_front_page_is_copied_by_its_button()
    {
        var page = await app.OpenAsync("/", _elsewhere, _complaints, new() { Permissions = ["clipboard-read", "clipboard-write"] });

        await page.Locator("button[data-copy]").First.ClickAsync();

        await Assertions.Expect(page.Locator("button[data-copy]").First).ToHaveTextAsync("Copied");
        (await page.EvaluateAsync<string>("navigator.clipboard.readText()")).ShouldStartWith("curl http");
        ShouldBeCalm();
    }

    [Theory]
    [InlineData("/docs", ColorScheme.Light)]
    [InlineData("/airflow/docs", ColorScheme.Dark)]
    public async Task Swagger_ui_calls_an_operation(string path, ColorScheme scheme)
    {
        var page = await app.OpenAsync(path, _elsewhere, _complaints, new() { ColorScheme = scheme, ViewportSize = new() { Width = 1280, Height = 1000 } });
        // All contracts at once start folded.
        if (path == "/docs")
            await page.Locator("h3[data-tag='Airflow: monitor']").ClickAsync();
        var operation = page.Locator("[id$=airflow_health_v1]");
        await operation.Locator(".opblock-summary-control").ClickAsync();
        await operation.Locator(".try-out__btn").ClickAsync();
        await operation.Locator(".execute").ClickAsync();

        await Assertions.Expect(operation.Locator(".live-responses-table tbody .response-col_status").First).ToContainTextAsync("200", new() { Timeout = 30_000 });
        await Assertions.Expect(operation.Locator(".live-responses-table .highlight-code").First).ToContainTextAsync("metadatabase");
        await ShootAsync(page, $"docs-{scheme}");
        ShouldBeCalm();
    }

    [Theory]
    [InlineData("/redoc", ColorScheme.Light)]
    [InlineData("/agentx/redoc", ColorScheme.Dark)]
    public async Task Redoc_shows_the_operations(string path, ColorScheme scheme)
    {
        var page = await app.OpenAsync(path, _elsewhere, _complaints, new() { ColorScheme = scheme, ViewportSize = new() { Width = 1280, Height = 1000 } });

        await Assertions.Expect(page.Locator("h1").First).ToBeVisibleAsync(new() { Timeout = 30_000 });
        await Assertions.Expect(page.Locator("[id*='operation/agents_list']").First).ToBeAttachedAsync(new() { Timeout = 30_000 });
        await ShootAsync(page, $"redoc-{scheme}");
        ShouldBeCalm();
    }

    // Nothing was asked of another host, and nothing went wrong: with the network unplugged all would be the same.
    private void ShouldBeCalm()
    {
        _elsewhere.ShouldBeEmpty();
        _complaints.ShouldBeEmpty();
    }

    private async Task<IReadOnlyList<string>> ViolationsAsync(IPage page)
    {
        // Through the developer tools: the page's own policy allows no script that is not the app's.
        await page.EvaluateAsync(app.Axe);
        var found = await page.EvaluateAsync<JsonElement>("axe.run().then(result => result.violations.map(one => `${one.id}: ${one.nodes.map(node => node.html).join(' ')}`))");
        return [.. found.EnumerateArray().Select(one => one.GetString()!)];
    }

    // For people to look at; REGISTRY_TEST_SCREENSHOTS names a folder.
    private static async Task ShootAsync(IPage page, string name)
    {
        if (Environment.GetEnvironmentVariable("REGISTRY_TEST_SCREENSHOTS") is { Length: > 0 } folder)
            await page.ScreenshotAsync(new() { Path = Path.Combine(folder, name + ".png"), FullPage = name.StartsWith("front", StringComparison.Ordinal) });
    }
}
