using System.CommandLine;
using Grpo.Models.Qwen;

namespace Grpo.Samples.Gsm8k;

/// <summary>Makes a checkpoint of random weights in a real shape: to try a run, its memory and its speed before fetching gigabytes.</summary>
internal static class InitCommand
{
    private static readonly Dictionary<string, Func<QwenTokenizer, Qwen2Config>> Shapes = new(StringComparer.OrdinalIgnoreCase)
    {
        ["tiny"] = tokenizer => TinyShape.Config(tokenizer),
        ["0.5b"] = tokenizer => Qwen25(tokenizer, hidden: 896, intermediate: 4864, layers: 24, heads: 14),
        ["1.5b"] = tokenizer => Qwen25(tokenizer, hidden: 1536, intermediate: 8960, layers: 28, heads: 12),
    };

    public static Command Create()
    {
        var shape = new Option<string>("--shape") { Description = $"One of {string.Join(", ", Shapes.Keys)}.", DefaultValueFactory = _ => "tiny" };
        shape.AcceptOnlyFromAmong([.. Shapes.Keys]);
        var tokenizer = new Option<string>("--tokenizer") { Description = "Folder with vocab.json and merges.txt, or tokenizer.json.", DefaultValueFactory = _ => Defaults.TinyModel };
        var output = new Option<string>("--output") { Description = "Folder for the checkpoint.", Required = true };
        var seed = new Option<ulong>("--seed") { Description = "Seed of the weights.", DefaultValueFactory = _ => 1 };
        var command = new Command("init", "Makes a checkpoint with random weights.") { shape, tokenizer, output, seed };
        command.SetAction(parsed =>
        {
            QwenTokenizer loaded = QwenTokenizer.Load(parsed.GetRequiredValue(tokenizer));
            string folder = parsed.GetRequiredValue(output);
            Directory.CreateDirectory(folder);
            using var policy = new QwenPolicy(Qwen2ForCausalLM.Initialize(Shapes[parsed.GetRequiredValue(shape)](loaded), parsed.GetValue(seed)), loaded.Save);
            policy.Save(folder);
            Console.WriteLine($"{policy.Module.parameters().Sum(parameter => parameter.numel()):N0} random weights written to {folder}.");
        });
        return command;
    }

    // Qwen2.5's published shapes share everything but the sizes; the embedding is padded to a multiple of 128.
    private static Qwen2Config Qwen25(QwenTokenizer tokenizer, int hidden, int intermediate, int layers, int heads) => new()
    {
        VocabularySize = Math.Max(151_936, tokenizer.VocabularySize),
        HiddenSize = hidden,
        IntermediateSize = intermediate,
        LayerCount = layers,
        AttentionHeadCount = heads,
        KeyValueHeadCount = 2,
        RopeTheta = 1_000_000,
        TieWordEmbeddings = true,
        EosTokenIds = [.. tokenizer.EndTokenIds.Order()],
    };
}
