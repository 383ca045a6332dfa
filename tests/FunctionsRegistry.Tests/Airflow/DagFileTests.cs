using FsCheck;
using FsCheck.Fluent;
using FunctionsRegistry.Airflow;
using FunctionsRegistry.Airflow.Operators;

namespace FunctionsRegistry.Tests.Airflow;

public sealed class DagFileTests
{
    private static readonly Dictionary<string, IOperator> s_operators =
        new IOperator[] { new EchoOperator(), new FailOperator(), new WaitOperator(), new BranchOperator() }.ToDictionary(one => one.Name);

    private static DagDefinition Read(string text) => DagFileReader.Read("d.yaml", text, s_operators);

    [Fact]
    public void A_file_becomes_a_definition_with_its_defaults()
    {
        var dag = Read("""
            id: nightly
            description: Does it
            owners: [dean]
            tags: [a, b]
            schedule: "@daily"
            max_active_runs: 2
            params: { size: 3, name: x, on: true, none: ~, quoted: "7", ratio: 1.5, list: [1] }
            tasks:
              - id: last
                needs: [first]
                operator: echo
                params: { value: "${params.size} ${tasks.first.output}" }
                trigger_rule: all_done
                retries: 2
                retry_delay_seconds: 0.5
                retry_backoff: 2
                timeout_seconds: 10
              - { id: first, operator: echo }
            """);

        dag.Id.ShouldBe("nightly");
        (dag.Schedule!.Text, dag.MaxActiveRuns).ShouldBe(("@daily", 2));
        dag.Params.ToJsonString().ShouldBe("""{"size":3,"name":"x","on":true,"none":null,"quoted":"7","ratio":1.5,"list":[1]}""");
        dag.Tasks.Select(task => task.Id).ShouldBe(["first", "last"]);
        var last = dag.Tasks[1];
        (last.TriggerRule, last.Retries, last.RetryDelaySeconds, last.RetryBackoff, last.TimeoutSeconds, last.Pool)
            .ShouldBe((TriggerRule.AllDone, 2, 0.5, 2.0, 10.0, Pool.DefaultName));
        (dag.Tasks[0].Retries, dag.Tasks[0].TriggerRule).ShouldBe((0, TriggerRule.AllSuccess));
        dag.Version.ShouldMatch("^[0-9a-f]{64}$");
    }

    [Theory]
    [InlineData("id: d\ntasks:\n  - {id: a, operator: echo, needs: [c]}\n  - {id: b, operator: echo, needs: [a]}\n  - {id: c, operator: echo, needs: [b]}", 3, "circle")]
    [InlineData("id: d\ntasks:\n  - {id: a, operator: echo, needs: [a]}", 3, "circle")]
    [InlineData("id: d\ntasks:\n  - id: a\n    operator: bash", 4, "no operator 'bash'")]
    [InlineData("id: d\ntasks:\n  - {id: a}", 3, "'operator' is missing")]
    [InlineData("id: d\ntasks:\n  - {id: a, operator: echo}\n  - {id: b, operator: echo, needs: [x]}", 4, "needs 'x', which does not exist")]
    [InlineData("id: d\ntasks:\n  - {id: a, operator: echo}\n  - {id: a, operator: echo}", 4, "there twice")]
    [InlineData("id: d\ncolour: red\ntasks:\n  - {id: a, operator: echo}", 2, "no field 'colour'")]
    [InlineData("id: d\ntasks:\n  - id: a\n    operator: echo\n    retires: 3", 5, "no field 'retires'")]
    [InlineData("id: d\ntasks:\n  - id: a\n    operator: echo\n    trigger_rule: maybe", 5, "no trigger rule 'maybe'")]
    [InlineData("id: d\ntasks:\n  - id: a\n    operator: echo\n    retries: 1.5", 5, "whole number")]
    [InlineData("id: d\ntasks:\n  - id: a\n    operator: echo\n    timeout_seconds: 0", 5, "number from")]
    [InlineData("id: d\ntasks:\n  - id: a\n    operator: wait\n    params: {seconds: soon}", 5, "must be a number")]
    [InlineData("id: d\ntasks:\n  - id: a\n    operator: wait", 3, "needs the parameter 'seconds'")]
    [InlineData("id: d\ntasks:\n  - id: a\n    operator: echo\n    params: {valeu: 1}", 5, "no parameter 'valeu'")]
    [InlineData("id: d\ntasks:\n  - {id: a, operator: echo, params: {value: \"${params.x}\"}}", 3, "no parameter 'x'")]
    [InlineData("id: d\ntasks:\n  - {id: a, operator: echo, params: {value: \"${tasks.b.output}\"}}\n  - {id: b, operator: echo}", 3, "does not come before")]
    [InlineData("id: d\ntasks:\n  - {id: a, operator: echo, params: {value: \"${what}\"}}", 3, "is not like")]
    [InlineData("id: d\ntasks:\n  - {id: a, operator: branch, params: {value: x, cases: {x: b}}}\n  - {id: b, operator: echo}", 3, "not a task directly after")]
    [InlineData("id: d\nschedule: sometimes\ntasks:\n  - {id: a, operator: echo}", 2, "neither a cron expression")]
    [InlineData("id: d\nmax_active_runs: 0\ntasks:\n  - {id: a, operator: echo}", 2, "whole number from 1")]
    [InlineData("id: a/b\ntasks:\n  - {id: a, operator: echo}", 1, "must be 1 to 200")]
    [InlineData("tasks:\n  - {id: a, operator: echo}", 1, "'id' is missing")]
    [InlineData("id: d", 1, "list of 1 to 500 tasks")]
    [InlineData("id: d\ntasks: []", 2, "list of 1 to 500 tasks")]
    [InlineData("id: d\ntasks:\n  - [", 4, "not YAML")]
    [InlineData("id: d\nid: e\ntasks: []", 2, "not YAML")]
    [InlineData("- a", 1, "one mapping")]
    [InlineData("", 1, "one mapping")]
    [InlineData("id: d\nparams: &p {x: *p}\ntasks:\n  - {id: a, operator: echo}", 1, "refers to itself")]
    public void A_fault_names_file_line_and_reason(string text, int line, string reason)
    {
        var faults = Should.Throw<DagFileException>(() => Read(text)).Faults;

        faults.ShouldContain(fault => fault.FileName == "d.yaml" && fault.Line == line && fault.Reason.Contains(reason), string.Join("\n", faults));
    }

    [Fact]
    public void All_faults_come_at_once()
    {
        var exception = Should.Throw<DagFileException>(() => Read("id: d\nx: 1\ntasks:\n  - {id: a, operator: nope}\n  - {id: a, operator: echo, needs: [z]}"));

        exception.Faults.Count.ShouldBe(4);
        exception.Message.ShouldContain("d.yaml:2: ");
    }

    [Fact]
    public void An_alias_bomb_is_refused()
    {
        var text = "id: d\nparams:\n  a: &a [x, x, x, x, x, x, x, x, x]\n"
            + string.Concat(Enumerable.Range('b', 8).Select(c => $"  {(char)c}: &{(char)c} [{string.Join(", ", Enumerable.Repeat($"*{(char)(c - 1)}", 9))}]\n"))
            + "tasks:\n  - {id: a, operator: echo}";

        Should.Throw<DagFileException>(() => Read(text)).Message.ShouldContain("too many parts");
    }

    [Fact]
    public void A_graph_without_a_circle_is_sorted_and_one_with_is_refused()
    {
        var graphs = from count in Gen.Choose(1, 8)
                     from edges in Gen.ListOf(Gen.Zip(Gen.Choose(0, count - 1), Gen.Choose(0, count - 1)), 8)
                     select (count, edges: edges.Distinct().ToArray());
        Prop.ForAll(Arb.From(graphs), graph =>
        {
            var lines = Enumerable.Range(0, graph.count).Select(i =>
                $"  - {{id: t{i}, operator: echo, needs: [{string.Join(", ", graph.edges.Where(edge => edge.Item2 == i).Select(edge => $"t{edge.Item1}"))}]}}");
            var text = "id: d\ntasks:\n" + string.Join('\n', lines);
            if (IsCircular(graph.count, graph.edges))
            {
                Should.Throw<DagFileException>(() => Read(text)).Message.ShouldContain("circle");
                return;
            }
            var order = Read(text).Tasks.Select(task => task.Id).ToList();
            order.Count.ShouldBe(graph.count);
            foreach (var (from, to) in graph.edges)
                order.IndexOf($"t{from}").ShouldBeLessThan(order.IndexOf($"t{to}"));
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(300));
    }

    [Fact]
    public void Any_text_is_read_or_refused_with_faults()
    {
        var pieces = Gen.ListOf(Gen.Elements("id: d\n", "tasks:\n", "  - ", "id: a\n", "    operator: echo\n", "{", "}", "[", "]", ": ", "&a ", "*a ", "- ", "? ", "|\n", "\t", "\"", "#", "---\n", "!!int x", "\0"), 14);
        Prop.ForAll(Arb.From(pieces), list =>
        {
            try
            {
                Read(string.Concat(list));
            }
            catch (DagFileException exception)
            {
                exception.Faults.ShouldNotBeEmpty();
            }
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(1000));
    }

    // Floyd and Warshall: a task that reaches itself.
    private static bool IsCircular(int count, (int From, int To)[] edges)
    {
        var reaches = new bool[count, count];
        foreach (var (from, to) in edges)
            reaches[from, to] = true;
        for (var via = 0; via < count; via++)
            for (var from = 0; from < count; from++)
                for (var to = 0; to < count; to++)
                    reaches[from, to] |= reaches[from, via] && reaches[via, to];
        return Enumerable.Range(0, count).Any(task => reaches[task, task]);
    }
}
