using System.Text.Json;
using FunctionsRegistry.Errors;

namespace FunctionsRegistry.Tests.Errors;

public sealed class ErrorBodiesTests
{
    private static readonly FieldError s_field = new(["body", "items", 0, "name"], "Field required", "missing");

    public static TheoryData<Family, string, int> PlainErrors => new()
    {
        { Family.AgentX, """{"error":"Agent \"x\" not found","message":"Agent \"x\" not found","request_id":"r1"}""", 404 },
        { Family.Dhg, """{"detail":"Agent \"x\" not found","request_id":"r1"}""", 404 },
        { Family.Hokusai, """{"detail":"Agent \"x\" not found","request_id":"r1"}""", 404 },
        { Family.Platform, """{"detail":"Agent \"x\" not found","request_id":"r1"}""", 404 },
        { Family.Airflow, """{"detail":"Agent \"x\" not found","status":404,"title":"Not Found","type":"about:blank","request_id":"r1"}""", 404 },
        { Family.Mlflow, """{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"Agent \"x\" not found","request_id":"r1"}""", 404 },
    };

    [Theory, MemberData(nameof(PlainErrors))]
    public void Every_family_has_its_own_body(Family family, string json, int status)
    {
        var body = ErrorBodies.Create(family, new RegistryException(ErrorKind.NotFound, "Agent \"x\" not found"), "r1", asProblem: false);

        body.Status.ShouldBe(status);
        Canonical(body.Bytes).ShouldBe(Canonical(json));
        body.ContentType.ShouldStartWith(family == Family.Airflow ? "application/problem+json" : "application/json");
    }

    [Theory]
    [InlineData(Family.AgentX, 400, """{"error":"Validation failed","details":["Field required"],"message":"Validation failed: Field required","request_id":"r1"}""")]
    [InlineData(Family.Evolution, 422, """{"detail":[{"loc":["body","items",0,"name"],"msg":"Field required","type":"missing"}],"request_id":"r1"}""")]
    [InlineData(Family.Mlflow, 400, """{"error_code":"INVALID_PARAMETER_VALUE","message":"Validation failed: Field required","request_id":"r1"}""")]
    public void Validation_lists_every_field_in_the_family_s_form(Family family, int status, string json)
    {
        var body = ErrorBodies.Create(family, new RegistryException(ErrorKind.Validation, "Validation failed", [s_field]), "r1", asProblem: false);

        body.Status.ShouldBe(status);
        Canonical(body.Bytes).ShouldBe(Canonical(json));
    }

    [Fact]
    public void Problem_details_keep_status_and_request_id_in_any_family()
    {
        foreach (var family in Enum.GetValues<Family>())
            foreach (var kind in Enum.GetValues<ErrorKind>())
            {
                var error = new RegistryException(kind, "text");
                var plain = ErrorBodies.Create(family, error, "r1", asProblem: false);
                var problem = ErrorBodies.Create(family, error, "r1", asProblem: true);

                problem.Status.ShouldBe(plain.Status);
                problem.ContentType.ShouldStartWith("application/problem+json");
                using var document = JsonDocument.Parse(problem.Bytes);
                document.RootElement.GetProperty("request_id").GetString().ShouldBe("r1");
                document.RootElement.GetProperty("status").GetInt32().ShouldBe(plain.Status);
            }
    }

    [Fact]
    public void A_defect_s_message_never_leaves_the_process()
    {
        foreach (var family in Enum.GetValues<Family>())
        {
            var body = ErrorBodies.Create(family, new RegistryException(ErrorKind.Internal, "password=secret"), "r1", asProblem: false);

            body.Status.ShouldBe(500);
            System.Text.Encoding.UTF8.GetString(body.Bytes).ShouldNotContain("secret");
        }
    }

    private static string Canonical(string json) => Canonical(System.Text.Encoding.UTF8.GetBytes(json));

    private static string Canonical(byte[] json)
    {
        using var document = JsonDocument.Parse(json);
        return JsonSerializer.Serialize(document.RootElement);
    }
}
