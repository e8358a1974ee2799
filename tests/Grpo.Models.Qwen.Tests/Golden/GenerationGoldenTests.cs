using System.Text.Json;
using Grpo.Modeling;
using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Weights;
using Grpo.Tensors;
using Grpo.Testing;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests;

/// <summary>Greedy decoding against Hugging Face generate(): the tokens are equal, with the cache and without.</summary>
public sealed class GenerationGoldenTests
{
    public static TheoryData<string> Sets => ["golden", Path.Combine("golden", "families")];

    private static JsonElement[] Cases(string set)
    {
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(SharedData.Path(set, "generation.json")));
        return [.. document.RootElement.Items("cases").Select(item => item.Clone())];
    }

    [SharedTheory]
    [MemberData(nameof(Sets))]
    public void Cached_greedy_decoding_gives_the_reference_tokens(string set)
    {
        foreach (JsonElement golden in Cases(set))
        {
            Check(golden, (model, prompts, options) => Decode(model, prompts, options, groupSize: 1));
        }
    }

    [SharedTheory]
    [MemberData(nameof(Sets))]
    public void Uncached_greedy_decoding_gives_the_reference_tokens(string set)
    {
        foreach (JsonElement golden in Cases(set))
        {
            Check(golden, DecodeUncached);
        }
    }

    [SharedTheory]
    [MemberData(nameof(Sets))]
    public void Every_row_of_a_group_gives_the_tokens_of_its_prompt(string set)
    {
        JsonElement golden = Cases(set).MaxBy(item => item.GetProperty("prompts").GetArrayLength());
        Check(golden, (model, prompts, options) =>
        {
            int[][] rows = Decode(model, prompts, options, groupSize: 3);
            Assert.Equal(prompts.Length * 3, rows.Length);
            for (int row = 0; row < rows.Length; row++)
            {
                Assert.Equal(rows[row / 3 * 3], rows[row]);
            }

            return [.. rows.Where((_, row) => row % 3 == 0)];
        });
    }

    private static void Check(JsonElement golden, Func<CausalLM, int[][], Options, int[][]> decode)
    {
        JsonElement eos = golden.GetProperty("eos_token_id");
        var options = new Options(
            golden.GetProperty("max_new_tokens").GetInt32(),
            eos.ValueKind switch
            {
                JsonValueKind.Null => [],
                JsonValueKind.Array => [.. eos.EnumerateArray().Select(id => id.GetInt64())],
                _ => [eos.GetInt64()],
            },
            golden.GetProperty("pad_token_id").GetInt32());
        using CausalLM model = QwenWeights.Load(GoldenModel.Folder(golden.GetProperty("model").GetString()!));
        Assert.Equal(Rows(golden.GetProperty("new_tokens")), decode(model, Rows(golden.GetProperty("prompts")), options));
    }

    private static int[][] Decode(CausalLM model, int[][] prompts, Options options, int groupSize)
    {
        using var scope = TensorScope.BeginNoGrad();
        TokenBatch batch = Batch(prompts, options);
        using IDecodingSession session = new QwenPolicy(model).StartDecoding(batch, groupSize, options.MaxNewTokens);
        Tensor logits = session.Prefill();
        var output = new Output(prompts.Length * groupSize, options);
        while (output.Append(logits) is { } next)
        {
            logits = session.Advance(tensor(next));
        }

        return output.Rows;
    }

    private static int[][] DecodeUncached(CausalLM model, int[][] prompts, Options options)
    {
        using var scope = TensorScope.BeginNoGrad();
        TokenBatch batch = Batch(prompts, options);
        (Tensor tokenIds, Tensor mask) = (batch.PromptIds, batch.PromptMask);
        var output = new Output(prompts.Length, options);
        while (output.Append(model.call(tokenIds, mask).select(1, -1)) is { } next)
        {
            tokenIds = cat([tokenIds, tensor(next).unsqueeze(1)], 1);
            mask = cat([mask, ones_like(mask.narrow(1, 0, 1))], 1);
        }

        return output.Rows;
    }

    private static TokenBatch Batch(int[][] prompts, Options options) =>
        TokenBatchBuilder.Build([.. prompts.Select(prompt => new TokenSequence(prompt, []))], options.PadTokenId, CPU);

    private static int[][] Rows(JsonElement rows) =>
        [.. rows.EnumerateArray().Select(row => row.EnumerateArray().Select(id => id.GetInt32()).ToArray())];

    private sealed record Options(int MaxNewTokens, long[] EosTokenIds, int PadTokenId);

    /// <summary>Collects tokens as generate() does: the end token is kept, later positions of its row are padding.</summary>
    private sealed class Output(int rows, Options options)
    {
        private readonly List<int>[] _rows = [.. Enumerable.Range(0, rows).Select(_ => new List<int>())];
        private readonly bool[] _finished = new bool[rows];

        public int[][] Rows => [.. _rows.Select(row => row.ToArray())];

        /// <summary>Appends the most probable tokens; null when all rows have ended.</summary>
        public long[]? Append(Tensor logits)
        {
            long[] next = logits.argmax(1).data<long>().ToArray();
            for (int row = 0; row < next.Length; row++)
            {
                next[row] = _finished[row] ? options.PadTokenId : next[row];
                _finished[row] |= options.EosTokenIds.Contains(next[row]);
                _rows[row].Add((int)next[row]);
            }

            return _finished.All(finished => finished) || _rows[0].Count == options.MaxNewTokens ? null : next;
        }
    }
}
