using System.CommandLine;
using Grpo.IO;
using Grpo.Models.Qwen;

namespace Grpo.Samples.Gsm8k;

/// <summary>The command <c>generate</c>, which answers one question.</summary>
internal static class GenerateCommand
{
    public static Command Create()
    {
        var question = new Argument<string>("question") { Description = "The question, or '-' to read it from standard input." };
        var count = new Option<int>("--count") { Description = "The number of completions to sample.", DefaultValueFactory = _ => 1 };
        var command = new Command(
            "generate", "Answers a question with a trained model. Decoding is greedy unless --temperature is given.") { question, count };
        Settings.AddTo(command, "Run", "Grpo");
        command.SetAction(async (parsed, cancellationToken) =>
        {
            Settings settings = Settings.Read(parsed);
            bool sampled = parsed.Tokens.Any(token => token.Value == "--temperature");
            string text = parsed.GetRequiredValue(question);
            await RunAsync(
                settings, text == "-" ? await Console.In.ReadToEndAsync(cancellationToken) : text, parsed.GetValue(count), sampled,
                cancellationToken);
            return 0;
        });
        return command;
    }

    private static async Task RunAsync(Settings settings, string question, int count, bool sampled, CancellationToken cancellationToken)
    {
        settings.SayNotes();
        using QwenPretrained qwen = await ModelLoader.LoadAsync(settings, cancellationToken);
        var request = new RolloutRequest
        {
            Prompts = [Prompt.Create("question", question.Trim(), system: settings.Form.ForOthers)],
            GroupSize = count,
            Sampling = sampled ? settings.Grpo.Sampling : settings.Grpo.Sampling.ToGreedy(),
            Seed = settings.Grpo.Seed,
        };
        IReadOnlyList<RolloutGroup> groups = await new PolicyGroupSampler(qwen.Tokenizer, qwen.ChatTemplate)
            .SampleAsync(qwen.Policy, request, cancellationToken);
        foreach (Completion completion in groups[0].Completions)
        {
            Console.WriteLine(TerminalText.Escape(completion.Text)
                + (completion.FinishReason == FinishReason.Truncated ? " … (cut at the length limit)" : string.Empty));
        }
    }
}
