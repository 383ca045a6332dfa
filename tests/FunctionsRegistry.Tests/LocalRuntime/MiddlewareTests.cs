using System.Collections.Concurrent;
using FunctionsRegistry.LocalRuntime;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace FunctionsRegistry.Tests.LocalRuntime;

public sealed class MiddlewareTests
{
    [Fact]
    public async Task Middleware_runs_in_the_order_it_was_added_around_every_function()
    {
        var trail = new Trail();
        await using var app = await RuntimeApp.StartAsync([typeof(Functions)], builder =>
        {
            builder.Services.AddSingleton(trail);
            builder.UseMiddleware<Outer>();
            builder.UseMiddleware(async (context, next) =>
            {
                trail.Add("inner in");
                await next();
                trail.Add("inner out");
            });
            builder.UseWhen<OnlyOther>(context => context.FunctionDefinition.Name == "other");
            builder.UseWhen(context => context.FunctionDefinition.Name == "plain", (context, next) =>
            {
                trail.Add("when");
                return next();
            });
        });

        (await app.GetAsync("/plain")).Body.ShouldBe("plain");
        trail.Take().ShouldBe(["outer in", "inner in", "when", "plain", "inner out", "outer out"]);

        (await app.GetAsync("/other")).Body.ShouldBe("other");
        trail.Take().ShouldBe(["outer in", "inner in", "only other", "other", "inner out", "outer out"]);
    }

    [Fact]
    public async Task Middleware_that_calls_nothing_answers_itself()
    {
        await using var app = await RuntimeApp.StartAsync([typeof(Functions)], builder =>
        {
            builder.Services.AddSingleton<Trail>();
            builder.UseMiddleware((context, next) =>
            {
                context.GetHttpContext()!.Response.StatusCode = 403;
                return Task.CompletedTask;
            });
        });

        (await app.GetAsync("/plain")).ShouldBe((403, ""));
        (await app.GetAsync("/nothing")).Status.ShouldBe(404);
    }

    [Fact]
    public async Task Middleware_may_replace_the_result_and_handle_exceptions()
    {
        await using var app = await RuntimeApp.StartAsync([typeof(Functions)], builder =>
        {
            builder.Services.AddSingleton<Trail>();
            builder.UseMiddleware(async (context, next) =>
            {
                try
                {
                    await next();
                    context.GetInvocationResult().Value.ShouldNotBeNull();
                }
                catch (InvalidOperationException exception)
                {
                    context.GetInvocationResult().Value = Results.Text(exception.Message, statusCode: 409);
                }
            });
        });

        (await app.GetAsync("/fails")).ShouldBe((409, "no"));
    }

    [Fact]
    public async Task The_context_tells_what_is_invoked()
    {
        await using var app = await RuntimeApp.StartAsync([typeof(Functions)], builder =>
        {
            builder.Services.AddSingleton<Trail>();
            builder.UseMiddleware((context, next) =>
            {
                context.Items["seen"] = true;
                context.Features.Set(new Trail());
                return next();
            });
        });
        using var request = new HttpRequestMessage(HttpMethod.Get, "/context/x");
        request.Headers.Add("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");

        using var response = await app.Client.SendAsync(request);

        var parts = (await response.Content.ReadAsStringAsync()).Split(' ');
        parts[..8].ShouldBe(["context", typeof(Functions).FullName + ".Context", "httpTrigger", "request,context", "x", "True", "True", "0"]);
        Guid.Parse(parts[8]).ShouldNotBe(Guid.Empty);
        parts[9].ShouldStartWith("00-0af7651916cd43dd8448eb211c80319c-");
    }

    internal sealed class Trail
    {
        private readonly ConcurrentQueue<string> _steps = [];

        public void Add(string step) => _steps.Enqueue(step);

        // What comes after the answer was written may still be on its way.
        public string[] Take()
        {
            SpinWait.SpinUntil(() => _steps.Contains("outer out"), TimeSpan.FromSeconds(5));
            string[] steps = [.. _steps];
            _steps.Clear();
            return steps;
        }
    }

    internal sealed class Outer(Trail trail) : IFunctionsWorkerMiddleware
    {
        public async Task Invoke(FunctionContext context, FunctionExecutionDelegate next)
        {
            trail.Add("outer in");
            await next(context);
            trail.Add("outer out");
        }
    }

    internal sealed class OnlyOther(Trail trail) : IFunctionsWorkerMiddleware
    {
        public Task Invoke(FunctionContext context, FunctionExecutionDelegate next)
        {
            trail.Add("only other");
            return next(context);
        }
    }

#pragma warning disable IDE0060, CA1801 // The parameters are what is bound.
    internal sealed class Functions(Trail trail)
    {
        [Function("plain")]
        public IResult Plain([HttpTrigger("get")] HttpRequest request)
        {
            trail.Add("plain");
            return Results.Text("plain");
        }

        [Function("other")]
        public IResult Other([HttpTrigger("get")] HttpRequest request)
        {
            trail.Add("other");
            return Results.Text("other");
        }

        [Function("fails")]
        public static IResult Fail([HttpTrigger("get")] HttpRequest request) => throw new InvalidOperationException("no");

        [Function("context")]
        public static IResult Context([HttpTrigger("get", Route = "context/{id}")] HttpRequest request, FunctionContext context)
        {
            var definition = context.FunctionDefinition;
            return Results.Text(string.Join(' ', definition.Name, definition.EntryPoint, definition.InputBindings["request"].Type,
                string.Join(',', definition.Parameters.Select(parameter => parameter.Name)), context.BindingContext.BindingData["id"],
                context.Items["seen"], context.Features.Get<Trail>() is not null, context.RetryContext.RetryCount, context.InvocationId, context.TraceContext.TraceParent));
        }
    }
#pragma warning restore IDE0060, CA1801
}
