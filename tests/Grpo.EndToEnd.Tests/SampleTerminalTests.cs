using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Nodes;
using Grpo.Testing;

namespace Grpo.EndToEnd.Tests;

/// <summary>What the sample prints of a model and a data set that want to be obeyed by the terminal.</summary>
[Trait("Speed", "Slow")]
public sealed class SampleTerminalTests : IDisposable
{
    private const string Bell = "\u0007";

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Generate_shows_the_control_characters_of_a_completion()
    {
        SampleProcess.Result run = (await SampleProcess.RunAsync(
            "Gsm8k", "generate", "Tom has 3 apples and gets 4 more. How many?", "--model", HostileModel(), "--max-completion-tokens", "60",
            "--count", "2", "--temperature", "1")).Succeeded();

        Assert.Contains("\\u{", run.Output, StringComparison.Ordinal);
        AssertHarmless(run.Output);
    }

    [Fact]
    public async Task Errors_show_the_control_characters_of_a_file()
    {
        string file = _folder["train.jsonl"];
        File.WriteAllText(file, "{\"question\": \"q\", \"answer\": \"#### x\\u001b]0;owned\\u0007 \\u202e\"}\n{\u001b[31m\n");

        SampleProcess.Result run = await SampleProcess.RunAsync("Gsm8k", "train", "--dataset", file, "--output", _folder["out"]);

        run.Failed("\\u{1B}]0;owned\\u{7} \\u{202E}");
        AssertHarmless(run.Errors);
    }

    [PseudoTerminalFact]
    public async Task Live_view_shows_the_control_characters_of_prompts_and_completions()
    {
        string file = _folder["train.jsonl"];
        File.WriteAllText(
            file,
            "{\"question\": \"1+1? \\u001b]0;owned\\u0007 \\u202e[bold]\", \"answer\": \"#### 2\"}\n{\"question\": "
            + "\"2+2? \\u001b]0;owned\\u0007 \\u202e[bold]\", \"answer\": \"#### 4\"}\n");
        string program = Path.Combine(SampleProcess.Folder("Gsm8k"), "Gsm8k.dll");
        string command = $"dotnet '{program}' train --model '{HostileModel()}' --dataset '{file}' --steps 2 --prompts-per-step 1 "
            + $"--group-size 2 --max-completion-tokens 40 --learning-rate 1e-6 --output '{_folder["out"]}'";
        string output = await RunInTerminalAsync(command);

        Assert.Contains("\u001b[", output, StringComparison.Ordinal); // it was the live view, which moves the cursor
        Assert.Contains("\\u{1B}]0;owned\\u{7}", output.ReplaceLineEndings(""), StringComparison.Ordinal);
        Assert.DoesNotContain("\u001b]", output, StringComparison.Ordinal);
        Assert.DoesNotContain(Bell, output, StringComparison.Ordinal);
        Assert.DoesNotContain("\u202E", output, StringComparison.Ordinal);
    }

    [PseudoTerminalFact]
    public async Task Live_view_shows_its_numbers_in_a_low_terminal()
    {
        string program = Path.Combine(SampleProcess.Folder("Gsm8k"), "Gsm8k.dll");
        string train = "train --steps 2 --prompts-per-step 1 --group-size 2 --eval-count 2";
        string command = $"stty cols 80 rows 10; dotnet '{program}' {train} --output '{_folder["out"]}'";
        string output = await RunInTerminalAsync(command);

        // After each of the two steps; at the end all is shown, whatever fits.
        foreach (string name in new[] { "time left", "clipped low / high", "tokens/s", "held-out accuracy" })
        {
            Assert.InRange(output.Split(name).Length - 1, 2, 3);
        }
    }

    // What the program writes to a terminal of its own; it must succeed.
    private static async Task<string> RunInTerminalAsync(string command)
    {
        var start = new ProcessStartInfo("script", ["--quiet", "--return", "--command", command, "/dev/null"])
        {
            RedirectStandardOutput = true,
            RedirectStandardInput = true,
        };
        start.Environment["TERM"] = "xterm-256color";
        using Process process = Process.Start(start)!;
        process.StandardInput.Close();
        try
        {
            string output = await process.StandardOutput.ReadToEndAsync().WaitAsync(TimeSpan.FromMinutes(3));
            await process.WaitForExitAsync().WaitAsync(TimeSpan.FromMinutes(1));
            Assert.True(process.ExitCode == 0, output);
            return output;
        }
        finally
        {
            process.Kill(entireProcessTree: true); // nothing happens when it has ended
        }
    }

    private static void AssertHarmless(string output) => Assert.DoesNotContain(output, letter =>
        (char.IsControl(letter) && letter is not ('\n' or '\r' or '\t')) || char.IsSurrogate(letter)
            || letter is (>= '\u202A' and <= '\u202E') or (>= '\u2066' and <= '\u2069') or '\u2028' or '\u2029');

    // The tiny model with another vocabulary: what it writes as a space, a digit or a line end is a control character here.
    private string HostileModel()
    {
        string folder = Directory.CreateDirectory(_folder["model"]).FullName;
        foreach (string file in Directory.GetFiles(SampleProcess.TinyModel))
        {
            File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        }

        string path = Path.Combine(folder, "vocab.json");
        JsonObject vocabulary = JsonNode.Parse(File.ReadAllText(path))!.AsObject();
        // As byte-level vocabularies write space, line feed, 1, 2 and =; and escape, bell, backspace, carriage return and delete.
        (string One, string Other)[] pairs =
            [("\u0120", "\u011B"), ("\u010A", "\u0107"), ("1", "\u0108"), ("2", "\u010D"), ("=", "\u0121")];
        foreach ((string one, string other) in pairs)
        {
            int id = vocabulary[one]!.GetValue<int>();
            vocabulary[one] = vocabulary[other]!.GetValue<int>();
            vocabulary[other] = id;
        }

        File.WriteAllText(path, JsonSerializer.Serialize(vocabulary));
        return folder;
    }
}

/// <summary>A test that runs a program in a terminal, by util-linux's script; skipped where there is none.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class PseudoTerminalFactAttribute : FactAttribute
{
    public PseudoTerminalFactAttribute() =>
        Skip = OperatingSystem.IsLinux() && File.Exists("/usr/bin/script")
            ? null
            : "There is no /usr/bin/script to run a program in a terminal with.";
}
