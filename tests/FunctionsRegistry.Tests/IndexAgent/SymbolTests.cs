using FunctionsRegistry.IndexAgent;

namespace FunctionsRegistry.Tests.IndexAgent;

public sealed class SymbolTests
{
    [Theory]
    [InlineData("csharp", "public sealed partial class AgentStore(NpgsqlDataSource database)", "class AgentStore")]
    [InlineData("csharp", "    internal readonly record struct TarEntry(string Path);", "record struct TarEntry")]
    [InlineData("csharp", "    public async Task<IReadOnlyList<string>> ListAsync(int limit)", "method ListAsync")]
    [InlineData("csharp", "    private static (string A, int B)? Read<T>(T value) =>", "method Read")]
    [InlineData("csharp", "    public AgentStore(int x)", "method AgentStore")]
    [InlineData("csharp", "    public required string Name { get; init; }", "property Name")]
    [InlineData("csharp", "    public const int MaxBytes = 1 << 20;", "constant MaxBytes")]
    [InlineData("csharp", "        return Compute(x);", null)]
    [InlineData("csharp", "        var x = new Foo(1);", null)]
    [InlineData("csharp", "    [Fact] public void It_works()", "method It_works")]
    [InlineData("python", "class Foo(Base):", "class Foo")]
    [InlineData("python", "    async def read_all(self):", "function read_all")]
    [InlineData("python", "defer = 3", null)]
    [InlineData("javascript", "export default async function main(a) {", "function main")]
    [InlineData("javascript", "const onClick = async (event) => {", "function onClick")]
    [InlineData("javascript", "  if (x) {", null)]
    [InlineData("typescript", "export interface Options<T> {", "interface Options")]
    [InlineData("typescript", "  private async load(name: string): Promise<void> {", "method load")]
    [InlineData("typescript", "export type Shape = 'a' | 'b';", "type Shape")]
    [InlineData("go", "func (s *Server) Serve(ctx context.Context) error {", "method Server.Serve")]
    [InlineData("go", "func New(a int) *Server {", "function New")]
    [InlineData("go", "type Server struct {", "type Server")]
    [InlineData("java", "    @Override public List<String> names(int a) throws IOException {", "method names")]
    [InlineData("java", "public final class Foo<T> extends Bar {", "class Foo")]
    [InlineData("rust", "    pub(crate) async fn open(path: &Path) -> Result<()> {", "function open")]
    [InlineData("rust", "impl<T> Display for Matrix<T> {", "impl Matrix")]
    [InlineData("rust", "pub enum Color {", "enum Color")]
    [InlineData("c", "static int parse_header(const char *text, size_t length)", "function parse_header")]
    [InlineData("c", "int parse_header(const char *text);", null)]
    [InlineData("c", "#define MAX(a, b) ((a) > (b) ? (a) : (b))", "macro MAX")]
    [InlineData("cpp", "void Widget::paint(const Event& event) {", "function Widget.paint")]
    [InlineData("cpp", "class Widget : public Base {", "class Widget")]
    public void Definitions_are_found(string language, string line, string? expected)
    {
        var found = SymbolScanner.Find(Language.Find(language)!, line);

        (found is { } symbol ? $"{symbol.Kind} {(symbol.Owner is null ? "" : symbol.Owner + ".")}{symbol.Name}" : null).ShouldBe(expected);
    }

    [Fact]
    public void A_file_is_cut_at_its_symbols_with_their_comments()
    {
        const string Text = """
            using System;

            /// <summary>Keeps <see cref="Order"/>s. More words.</summary>
            public class Store
            {
                private int _x;

                // Finds one of them
                // by its number.
                [Obsolete]
                public int Find(int number)
                {
                    return number; /* public void Fake() { */
                }

                /*
                public void Commented()
                */
                public void Save() { }
            }
            """;
        var cutter = new SectionCutter();

        var sections = cutter.Cut(Language.Find("csharp")!, Text);

        sections.ConvertAll(section => $"{section.FirstLine + 1}-{section.EndLine} {section.Container}/{section.Symbol} {section.Doc}".Trim()).ShouldBe(
        [
            "1-2 /",
            "3-7 /Store Keeps Orders",
            "8-15 Store/Find Finds one of them by its number",
            "16-20 Store/Save",
        ]);
    }

    [Fact]
    public void Sections_hold_every_line_once_whatever_the_text_is()
    {
        var random = new Random(5);
        var parts = new[] { "class A {", "def f():", "    \"\"\"doc\"\"\"", "/*", "*/", "'''", "`", "\"", "", "  x = 1", "// c", "# c", "fn a() {", "func b() {", "}", "@x", "\t\t[Fact]", "public void M()" };
        foreach (var language in Language.All)
            for (var round = 0; round < 60; round++)
            {
                var text = string.Join('\n', Enumerable.Range(0, random.Next(0, 200)).Select(_ => parts[random.Next(parts.Length)]));
                var cutter = new SectionCutter();
                var sections = cutter.Cut(language, text);
                var line = 0;
                foreach (var section in sections)
                {
                    section.FirstLine.ShouldBe(line);
                    section.EndLine.ShouldBeGreaterThan(line);
                    (section.EndLine - section.FirstLine).ShouldBeLessThanOrEqualTo(200);
                    line = section.EndLine;
                }
                line.ShouldBe(cutter.Lines.Length);
            }
    }

    [Theory]
    [InlineData("src/app.py", "python", FileRole.Source)]
    [InlineData("tests/AgentTests.cs", "csharp", FileRole.Test)]
    [InlineData("pkg/server_test.go", "go", FileRole.Test)]
    [InlineData("docs/readme.md", "markdown", FileRole.Docs)]
    [InlineData("Dockerfile", "shell", FileRole.Source)]
    [InlineData("src/contest/main.rs", "rust", FileRole.Source)]
    [InlineData("a.unknown", "text", FileRole.Docs)]
    public void Paths_tell_language_and_role(string path, string language, FileRole role)
    {
        Language.OfPath(path).Name.ShouldBe(language);
        Language.RoleOf(path, Language.OfPath(path)).ShouldBe(role);
    }

    [Fact]
    public void Files_that_nobody_reads_are_left_out()
    {
        FileIntake.Read("a.cs", "class A { }"u8).Text.ShouldBe("class A { }");
        FileIntake.Read("a.cs", "a\r\nb\rc"u8).Text.ShouldBe("a\nb\nc");
        FileIntake.Read("a.cs", [0xEF, 0xBB, 0xBF, (byte)'x']).Text.ShouldBe("x");
        FileIntake.Read("a.cs", [(byte)'g', 0xF6, (byte)'n']).Text.ShouldBe("gön");
        FileIntake.Read("a.cs", [(byte)'x', 0]).Skipped.ShouldBe("binary");
        FileIntake.Read("a.cs", [.. Enumerable.Repeat((byte)1, 100)]).Skipped.ShouldBe("binary");
        FileIntake.Read("a.cs", "  \n "u8).Skipped.ShouldBe("empty");
        FileIntake.Read("a.cs", new byte[FileIntake.MaxBytes + 1]).Skipped.ShouldBe("too_large");
        FileIntake.Read("a.min.js", "var a"u8).Skipped.ShouldBe("minified");
        FileIntake.Read("a.js", System.Text.Encoding.ASCII.GetBytes(new string('a', 6000))).Skipped.ShouldBe("minified");
        FileIntake.Read("package-lock.json", "{}"u8).Skipped.ShouldBe("generated");
        FileIntake.Read("a.cs", "// <auto-generated/>\nclass A { }"u8).Skipped.ShouldBe("generated");
        FileIntake.Read("a.cs", "class A {\n  string mark = \"do not edit\";\n}"u8).Skipped.ShouldBeNull();
    }
}
