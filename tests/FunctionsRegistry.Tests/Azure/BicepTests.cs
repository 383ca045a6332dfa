using System.Text.RegularExpressions;

namespace FunctionsRegistry.Tests.Azure;

/// <summary>The structure of infra/azure: what a compiler would say, as far as names go, and what the house asks for on top.</summary>
public sealed partial class BicepTests(BicepFiles files)
{
    // Functions of Bicep that the templates use; an unknown one is a misspelt one until it is added here.
    private static readonly string[] s_functions =
    [
        "bool", "cidrSubnet", "concat", "description", "empty", "environment", "filter", "guid", "int", "items", "join", "json", "map", "maxLength",
        "maxValue", "minLength", "minValue", "readEnvironmentVariable", "resourceGroup", "resourceId", "secure", "split", "string", "subscription",
        "subscriptionResourceId", "tenant", "toObject", "union", "uniqueString",
    ];

    [Fact]
    public void Every_file_passes_the_syntax_check()
    {
        files.All.Count.ShouldBeGreaterThan(10);
        files.All.SelectMany(file => file.Errors).ShouldBeEmpty();
    }

    [Theory]
    [InlineData("param a string =\n")]
    [InlineData("resource a 'T@1' = {\n  name: 'x'\n")]
    [InlineData("module m 'a.bicep' = {\n  params: { a: }\n}\n")]
    [InlineData("var a = [1, 2\nvar b = 3\n")]
    public void The_syntax_check_finds_a_broken_file(string text)
    {
        var file = Path.Combine(Directory.CreateTempSubdirectory("functionsregistry-bicep-").FullName, "broken.bicep");
        File.WriteAllText(file, text);
        try
        {
            BicepFiles.Parse([file]).Single().Errors.ShouldNotBeEmpty();
        }
        finally
        {
            Directory.Delete(Path.GetDirectoryName(file)!, recursive: true);
        }
    }

    [Fact]
    public void Every_parameter_and_output_is_described()
    {
        var bare = from file in files.Templates
                   from declaration in file.Parameters.Concat(file.Outputs)
                   where declaration.Description is not { Length: > 3 }
                   select $"{file}({declaration.Node.Line}): {declaration.Name}";

        bare.ShouldBeEmpty();
    }

    [Fact]
    public void Every_module_gets_exactly_its_parameters()
    {
        var wrong = new List<string>();
        var used = new HashSet<string>();
        foreach (var file in files.Templates)
            foreach (var module in file.Modules)
            {
                var path = Path.GetFullPath(Path.Combine(Path.GetDirectoryName(file.Path)!, module.Target));
                var target = files.Templates.Single(one => one.Path == path);
                var name = target.Name;
                used.Add(name);
                var given = module.Property("params")?.Properties().Select(pair => pair.Name).ToList() ?? [];
                wrong.AddRange(given.Except(target.Parameters.Select(parameter => parameter.Name))
                    .Select(extra => $"{file}({module.Node.Line}): {name} has no parameter {extra}"));
                wrong.AddRange(target.Parameters.Where(parameter => parameter.Value is null && !given.Contains(parameter.Name))
                    .Select(parameter => $"{file}({module.Node.Line}): {name} needs {parameter.Name}"));
            }
        wrong.ShouldBeEmpty();
        files.Templates.Select(file => file.Name).Except(used).ShouldBe(["main.bicep"]);
    }

    [Fact]
    public void The_parameter_file_gives_what_the_template_needs()
    {
        var given = files["main.bicepparam"].Variables.Select(variable => variable.Name).ToList();
        var parameters = files["main.bicep"].Parameters.ToList();

        given.Except(parameters.Select(parameter => parameter.Name)).ShouldBeEmpty();
        parameters.Where(parameter => parameter.Value is null).Select(parameter => parameter.Name).Except(given).ShouldBeEmpty();
        // A secret that could not be given could not be rotated.
        parameters.Where(parameter => parameter.IsSecure).Select(parameter => parameter.Name).Except(given).ShouldBeEmpty();
    }

    [Fact]
    public void Every_name_that_is_used_is_declared_and_every_declared_one_used()
    {
        var wrong = new List<string>();
        foreach (var file in files.All)
        {
            var declared = file.Root.All().Where(node => node.Type.EndsWith("_declaration", StringComparison.Ordinal))
                .Select(node => node.Children[0].Text).ToHashSet();
            var used = new HashSet<string>();
            foreach (var (node, local) in Names(file.Root, []))
            {
                used.Add(node.Text);
                var isKnown = node.Field == "function" ? s_functions.Contains(node.Text) : declared.Contains(node.Text) || local.Contains(node.Text);
                if (!isKnown)
                    wrong.Add($"{file}({node.Line}): {node.Text} is not declared");
            }
            if (file.Name.EndsWith(".bicep", StringComparison.Ordinal))
                wrong.AddRange(file.Parameters.Concat(file.Variables).Where(one => !used.Contains(one.Name))
                    .Select(one => $"{file}({one.Node.Line}): {one.Name} is not used"));
        }
        wrong.ShouldBeEmpty();
    }

    [Fact]
    public void Every_output_that_is_read_is_an_output_of_its_module()
    {
        var main = files["main.bicep"];
        var modules = main.Modules.ToDictionary(module => module.Name, module => files[module.Target].Outputs.Select(output => output.Name).ToHashSet());
        var reads = OutputPattern().Matches(main.Root.Text).Select(match => (Module: match.Groups[1].Value, Output: match.Groups[2].Value)).ToList();

        reads.Count.ShouldBeGreaterThan(50);
        reads.Where(read => !modules[read.Module].Contains(read.Output)).ShouldBeEmpty();
        // What only some deployments have is only read under its own condition.
        foreach (var optional in main.Modules.Where(module => module.Node.Children[2].Type == "if_statement"))
            main.Root.Text.ShouldNotContain($" {optional.Name}.outputs");
    }

    [Fact]
    public void There_is_no_secret_in_the_text()
    {
        var wrong = new List<string>();
        foreach (var file in files.All)
        {
            foreach (var parameter in file.Parameters.Where(parameter => SecretName().IsMatch(parameter.Name)))
                if (!parameter.IsSecure || parameter.Value is { StringValue: not "" })
                    wrong.Add($"{file}({parameter.Node.Line}): {parameter.Name} must be @secure() and without a default");
            foreach (var (name, value) in file.Root.All().Where(node => node.Type == "object").SelectMany(node => node.Properties()))
                if (SecretName().IsMatch(name) && value.StringValue is { Length: > 0 })
                    wrong.Add($"{file}({value.Line}): {name} is a literal");
            foreach (var text in file.Root.All().Where(node => node.Type == "string").Where(node => KeyText().IsMatch(node.Text)))
                wrong.Add($"{file}({text.Line}): looks like a key");
            if (KeyCall().IsMatch(file.Root.Text))
                wrong.Add($"{file}: asks a service for its keys");
        }
        wrong.ShouldBeEmpty();
    }

    [Fact]
    public void No_output_and_no_app_setting_carries_a_secret()
    {
        foreach (var file in files.Templates)
        {
            var secure = file.Parameters.Where(parameter => parameter.IsSecure).Select(parameter => parameter.Name).ToHashSet();
            foreach (var output in file.Outputs)
                Identifiers(output.Value!).Intersect(secure).ShouldBeEmpty($"{file}: {output.Name}");
        }
        files["modules/app-settings.bicep"].Parameters.ShouldAllBe(parameter => !parameter.IsSecure);
        // The only way of a secure parameter: from main into the vault.
        var main = files["main.bicep"];
        var secrets = main.Parameters.Where(parameter => parameter.IsSecure).Select(parameter => parameter.Name).ToList();
        foreach (var module in main.Modules.Where(module => module.Name != "keyVault"))
            Identifiers(module.Node).Intersect(secrets).ShouldBeEmpty(module.Name);
        var vault = files["modules/key-vault.bicep"];
        vault.Parameters.Where(parameter => parameter.IsSecure).Select(parameter => parameter.Name).ShouldBe(secrets, ignoreOrder: true);
        foreach (var secret in Written(vault))
            secret.Node.Children[2].Type.ShouldBe("if_statement", "an empty value must not overwrite a secret");
    }

    [Fact]
    public void Every_secret_that_a_setting_refers_to_is_one_that_the_vault_is_given()
    {
        var written = Written(files["modules/key-vault.bicep"]).Select(resource => resource.Property("name")!.StringValue);
        var read = SecretReference().Matches(files["modules/app-settings.bicep"].Root.Text).Select(match => match.Groups[1].Value);

        read.ShouldBe(written, ignoreOrder: true);
    }

    [Fact]
    public void Every_role_assignment_is_in_one_file_with_a_scope_a_role_and_a_reason()
    {
        var file = files["modules/role-assignments.bicep"];
        var roles = file.Variables.Single(variable => variable.Name == "role").Value!.Properties().ToDictionary(pair => pair.Name, pair => pair.Value.StringValue);
        var assignments = Assignments(file).ToList();

        files.Templates.Where(other => other.Name != file.Name).SelectMany(Assignments).ShouldBeEmpty();
        assignments.Count.ShouldBeGreaterThan(5);
        var assigned = new HashSet<string>();
        foreach (var assignment in assignments)
        {
            assignment.Property("scope").ShouldNotBeNull(assignment.Name);
            var properties = assignment.Property("properties")!;
            properties.Property("description")?.StringValue.ShouldNotBeNull().Length.ShouldBeGreaterThan(20, assignment.Name);
            properties.Property("principalType").ShouldNotBeNull(assignment.Name);
            var role = RolePattern().Match(properties.Property("roleDefinitionId")!.Text).Groups[1].Value;
            Guid.TryParse(roles[role], out _).ShouldBeTrue(role);
            // The name must hold scope, principal and role, or two assignments would be one.
            assignment.Property("name")!.Text.ShouldEndWith($"role.{role})");
            assigned.Add(role);
        }
        roles.Keys.Except(assigned).ShouldBeEmpty();
        roles.Values.Distinct().Count().ShouldBe(roles.Count);
        // Owner, Contributor and User Access Administrator: nobody here needs them.
        string[] broad = ["8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "b24988ac-6180-42a0-ab88-20f7382dd24c", "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9"];
        roles.Values.Intersect(broad).ShouldBeEmpty();
    }

    [Fact]
    public void Keys_passwords_and_public_access_are_off_and_everything_keeps_a_log()
    {
        string Text(string file) => files[$"modules/{file}.bicep"].Root.Text;

        Regex.Count(Text("storage"), "allowSharedKeyAccess: false").ShouldBe(2);
        Regex.Count(Text("storage"), "allowBlobPublicAccess: false").ShouldBe(2);
        Text("database").ShouldContain("passwordAuth: 'Disabled'");
        Text("redis").ShouldContain("accessKeysAuthentication: 'Disabled'");
        Text("web-pubsub").ShouldContain("disableLocalAuth: true");
        Text("migrate-job").ShouldContain("adminUserEnabled: false");
        Text("monitoring").ShouldContain("DisableLocalAuth: true");
        foreach (var file in (string[])["database", "redis", "key-vault"])
            Text(file).ShouldContain("publicNetworkAccess:");
        foreach (var file in (string[])["storage", "database", "redis", "web-pubsub", "key-vault"])
            Text(file).ShouldContain("'private-endpoint.bicep'", Case.Sensitive, file);
        foreach (var file in (string[])["storage", "database", "redis", "web-pubsub", "key-vault", "function-app", "migrate-job", "front-door"])
            Text(file).ShouldContain("Microsoft.Insights/diagnosticSettings@", Case.Sensitive, file);
    }

    [Fact]
    public void Every_resource_type_has_one_api_version_and_all_files_use_it()
    {
        // A resource inside another is named by the rest of its type and takes the version from around it.
        var targets = files.Templates.SelectMany(file => file.Resources).Select(resource => resource.Target).Where(target => target.Contains('/')).ToList();

        targets.ShouldAllBe(target => Regex.IsMatch(target, "^[A-Za-z.]+(/[A-Za-z]+)+@20[0-9]{2}-[0-9]{2}-[0-9]{2}(-preview)?$"));
        targets.Distinct().GroupBy(target => target.Split('@')[0]).Where(group => group.Count() > 1).Select(group => string.Join(" and ", group))
            .ShouldBeEmpty();
    }

    private static IEnumerable<BicepDeclaration> Assignments(BicepFile file) =>
        file.Resources.Where(resource => resource.Target.StartsWith("Microsoft.Authorization/roleAssignments@", StringComparison.Ordinal));

    private static IEnumerable<BicepDeclaration> Written(BicepFile vault) =>
        vault.Resources.Where(resource => resource.Target.StartsWith("Microsoft.KeyVault/vaults/secrets@", StringComparison.Ordinal));

    private static IEnumerable<string> Identifiers(BicepNode node) => node.All().Where(one => one.Type == "identifier").Select(one => one.Text);

    // Every use of a name, with the names that loops and lambdas around it bring.
    private static IEnumerable<(BicepNode Node, IReadOnlyCollection<string> Local)> Names(BicepNode node, IReadOnlyCollection<string> local)
    {
        var skip = node.Type.EndsWith("_declaration", StringComparison.Ordinal) || node is { Type: "object_property", Children.Count: 2 } ? 1 : 0;
        local = [.. local, .. node.Type switch
        {
            "for_statement" => node.Children.Where(child => child.Field == "initializer")
                .Concat(node.Children.Where(child => child.Type == "for_loop_parameters").SelectMany(child => child.Children)).Select(child => child.Text),
            "lambda_expression" => Identifiers(node.Children[0]),
            // The grammar hangs `one => one.key` the other way round: the lambda's parameter also holds for what follows it.
            "member_expression" => node.All().Where(child => child.Type == "lambda_expression").SelectMany(child => Identifiers(child.Children[0])),
            _ => [],
        }];
        if (node.Type == "identifier")
            yield return (node, local);
        foreach (var child in node.Children.Skip(skip).Where(child => child.Type != "for_loop_parameters" && child.Field != "initializer"))
            foreach (var name in Names(child, local))
                yield return name;
    }

    [GeneratedRegex(@"(\w+)!?\.outputs\.(\w+)")]
    private static partial Regex OutputPattern();

    [GeneratedRegex("(password|secret|apikey|adminkey|accesskey|accountkey|sharedkey)$", RegexOptions.IgnoreCase)]
    private static partial Regex SecretName();

    [GeneratedRegex("list(Keys|Secrets)", RegexOptions.IgnoreCase)]
    private static partial Regex KeyCall();

    [GeneratedRegex(@"AccountKey=|SharedAccessKey=|[Pp]assword=|[A-Za-z0-9+/]{40,}=|[A-Fa-f0-9]{40,}")]
    private static partial Regex KeyText();

    [GeneratedRegex(@"\$\{secrets\}([a-z0-9-]+)\)")]
    private static partial Regex SecretReference();

    [GeneratedRegex(@"\brole\.(\w+)\)$")]
    private static partial Regex RolePattern();
}
