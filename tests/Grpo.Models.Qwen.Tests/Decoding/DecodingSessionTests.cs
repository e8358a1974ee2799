using CsCheck;
using Grpo.Modeling;
using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Decoding;
using Grpo.Models.Qwen.Model;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests;

public sealed class DecodingSessionTests
{
    // Float32 rounding: one query at a time takes other kernels than whole sequences.
    private const double Tolerance = 2e-5;

    public static TheoryData<string, bool> FamiliesAndDecoders
    {
        get
        {
            var data = new TheoryData<string, bool>();
            foreach (string family in TinyModels.Families)
            {
                data.Add(family, false);
                data.Add(family, true);
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(FamiliesAndDecoders))]
    public void Cached_logits_equal_those_of_the_whole_sequence(string family, bool byCpuDecoder)
    {
        using CausalLM model = TinyModels.Uneven(
            byCpuDecoder ? TinyModels.CpuConfig(family: family) : TinyModels.Config(family: family));
        using var policy = new QwenPolicy(model);
        Gen.Select(Gen.Int[1, 6].Array[1, 4], Gen.Int[1, 3], Gen.Int[1, 5], Gen.Int[0, int.MaxValue])
            .Sample((lengths, groupSize, newTokens, seed) =>
            {
                using var scope = TensorScope.BeginNoGrad();
                var random = new Random(seed);
                int[][] prompts = [.. lengths.Select(length => Enumerable.Range(0, length).Select(_ => random.Next(37)).ToArray())];
                int[][] rows = [.. prompts.SelectMany(prompt => Enumerable.Repeat(prompt, groupSize))];
                using IDecodingSession session = policy.StartDecoding(Prompts(prompts), groupSize, newTokens);
                Tensor logits = session.Prefill();
                for (int t = 0; ; t++)
                {
                    Compare(model, rows, logits);
                    if (t == newTokens - 1)
                    {
                        break;
                    }

                    int[] next = [.. rows.Select(_ => random.Next(37))];
                    rows = [.. rows.Zip(next, (row, id) => (int[])[.. row, id])];
                    logits = session.Advance(Ids(next));
                }
            }, iter: 20, threads: 1);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void KeepRows_goes_on_with_those_rows_in_the_given_order(bool padded)
    {
        using CausalLM model = TinyModels.Create();
        using var scope = TensorScope.BeginNoGrad();
        int[][] prompts = padded ? [[1, 2, 3], [4]] : [[1, 2, 3], [4, 5, 6]];
        using var session = (DecodingSession)new QwenPolicy(model).StartDecoding(Prompts(prompts), groupSize: 2, maxNewTokens: 5);
        session.Prefill();
        session.Advance(Ids([10, 11, 12, 13]));
        session.KeepRows([3, 0]);
        Assert.Equal(2, session.RowCount);
        Tensor logits = session.Advance(Ids([20, 21]));
        Compare(model, [[.. prompts[1], 13, 20], [.. prompts[0], 10, 21]], logits);
        session.KeepRows([1]);
        Compare(model, [[.. prompts[0], 10, 21, 22]], session.Advance(Ids([22])));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Logits_do_not_depend_on_which_rows_left_and_which_joined_before(bool byCpuDecoder)
    {
        using CausalLM model = byCpuDecoder ? CausalLM.Initialize(TinyModels.CpuConfig(), seed: 7) : TinyModels.Create();
        using var policy = new QwenPolicy(model);
        const int Room = 8, LongestPrompt = 5, NewTokens = 12;
        Gen.Int[0, int.MaxValue].Sample(seed =>
        {
            using var scope = TensorScope.BeginNoGrad();
            var random = new Random(seed);
            int[] Tokens(int count) => [.. Enumerable.Range(0, count).Select(_ => random.Next(37))];
            int[][] RowsOf(int[][] prompts, int groupSize) => [.. prompts.SelectMany(prompt => Enumerable.Repeat(prompt, groupSize))];
            int[][] prompts = [Tokens(LongestPrompt), .. Enumerable.Range(0, 3).Select(_ => Tokens(random.Next(1, LongestPrompt + 1)))];
            using IDecodingSession session = policy.StartDecoding(Prompts(prompts), groupSize: 2, NewTokens);
            int[][] rows = RowsOf(prompts, groupSize: 2);
            Compare(model, rows, session.Prefill());
            for (int call = 0; call < 10; call++)
            {
                if (random.Next(2) == 0)
                {
                    int[] kept = [.. Enumerable.Range(0, rows.Length).OrderBy(_ => random.Next()).Take(random.Next(1, rows.Length + 1))];
                    session.KeepRows(kept);
                    rows = [.. kept.Select(row => rows[row])];
                }

                int groupSize = random.Next(1, 4);
                if (Room - rows.Length >= groupSize && random.Next(2) == 0)
                {
                    int count = random.Next(1, ((Room - rows.Length) / groupSize) + 1);
                    int[][] joining = [.. Enumerable.Range(0, count).Select(_ => Tokens(random.Next(1, LongestPrompt + 1)))];
                    Compare(model, RowsOf(joining, groupSize), session.AddPrompts(Prompts(joining), groupSize));
                    rows = [.. rows, .. RowsOf(joining, groupSize)];
                }

                int[] next = Tokens(rows.Length);
                rows = [.. rows.Zip(next, (row, id) => (int[])[.. row, id])];
                Compare(model, rows, session.Advance(Ids(next)));
            }
        }, iter: 30, threads: 1);
    }

    [Fact]
    public void AddPrompts_says_what_there_is_room_for_when_prompts_do_not_fit()
    {
        using CausalLM model = TinyModels.Create();
        using var policy = new QwenPolicy(model);
        using var scope = TensorScope.BeginNoGrad();
        using IDecodingSession session = policy.StartDecoding(Prompts([[1, 2], [3, 4]]), groupSize: 2, maxNewTokens: 3);
        ErrorAssert.Says<InvalidOperationException>("AddPrompts was called before Prefill", () => session.AddPrompts(Prompts([[1]]), 1));
        session.Prefill();
        ErrorAssert.Says<ArgumentException>(
            "1 prompts of up to 1 tokens with 1 rows each do not fit", () => session.AddPrompts(Prompts([[1]]), 1));
        session.KeepRows([0, 3]);
        ErrorAssert.Says<ArgumentException>(
            "prompts of up to 2 tokens and has room for 2 rows", () => session.AddPrompts(Prompts([[1]]), 3));
        ErrorAssert.Says<ArgumentException>(
            "prompts of up to 2 tokens and has room for 2 rows", () => session.AddPrompts(Prompts([[1, 2, 3]]), 2));
        Assert.Equal([2, 37], session.AddPrompts(Prompts([[1, 2]]), 2).shape);
    }

    [Fact]
    public void Prefill_gives_logits_of_the_last_position_for_every_row_of_a_group()
    {
        using CausalLM model = TinyModels.Create(tied: false);
        using var scope = TensorScope.BeginNoGrad();
        using IDecodingSession session = new QwenPolicy(model).StartDecoding(Prompts([[1, 2], [3, 4]]), groupSize: 3, maxNewTokens: 1);
        Tensor logits = session.Prefill();
        Assert.Equal([6, 37], logits.shape);
        Assert.False(logits.requires_grad);
        Compare(model, [[1, 2], [1, 2], [1, 2], [3, 4], [3, 4], [3, 4]], logits);
    }

    [Fact]
    public void A_session_does_not_need_the_prompts_tensors_any_more()
    {
        using CausalLM model = TinyModels.Create();
        using var policy = new QwenPolicy(model);
        IDecodingSession session;
        using (var building = TensorScope.BeginNoGrad())
        {
            session = policy.StartDecoding(Prompts([[1, 2], [3]]), groupSize: 1, maxNewTokens: 2);
        }

        using (session)
        {
            using var scope = TensorScope.BeginNoGrad();
            session.Prefill();
            Compare(model, [[1, 2, 5], [3, 6]], session.Advance(Ids([5, 6])));
        }
    }

    [Fact]
    public void Misuse_is_answered_with_what_to_do()
    {
        using CausalLM model = TinyModels.Create();
        using var policy = new QwenPolicy(model);
        using var scope = TensorScope.BeginNoGrad();
        var session = (DecodingSession)policy.StartDecoding(Prompts([[1, 2]]), groupSize: 2, maxNewTokens: 2);
        ErrorAssert.Says<InvalidOperationException>("Advance was called before Prefill", () => session.Advance(Ids([1, 1])));
        ErrorAssert.Says<InvalidOperationException>("before Prefill", () => session.KeepRows([0]));
        session.Prefill();
        ErrorAssert.Says<InvalidOperationException>("Prefill was called twice", () => session.Prefill());
        ErrorAssert.Says<ArgumentException>("tokenIds must be [B] = [2] but is [3]", () => session.Advance(Ids([1, 2, 3])));
        ErrorAssert.Says<ArgumentException>("must be Int64", () => session.Advance(zeros(2)));
        ErrorAssert.Says<ArgumentException>("rows 0 to 1", () => session.KeepRows([2]));
        ErrorAssert.Says<ArgumentException>("rows 0 to 1", () => session.KeepRows([1, 1]));
        ErrorAssert.Says<ArgumentException>("rows 0 to 1", () => session.KeepRows([]));
        session.Advance(Ids([1, 2]));
        ErrorAssert.Says<InvalidOperationException>("room for 3 positions", () => session.Advance(Ids([1, 2])));
        session.Dispose();
        session.Dispose();
        Assert.Throws<ObjectDisposedException>(() => session.Advance(Ids([1, 2])));
        Assert.Throws<ObjectDisposedException>(() => session.Prefill());
    }

    [Fact]
    public void Prompts_padded_on_the_right_are_refused()
    {
        using CausalLM model = TinyModels.Create();
        using var scope = TensorScope.BeginNoGrad();
        TokenBatch prompts = Prompts([[1, 2], [3, 4]]) with { PromptMask = tensor(new long[,] { { 1, 0 }, { 1, 1 } }) };
        var exception = Assert.Throws<ArgumentException>(() => new QwenPolicy(model).StartDecoding(prompts, 1, 1));
        Assert.Contains("padded on the left", exception.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(1, 0)]
    public void Group_size_and_new_tokens_are_at_least_one(int groupSize, int maxNewTokens)
    {
        using CausalLM model = TinyModels.Create();
        using var scope = TensorScope.BeginNoGrad();
        TokenBatch prompts = Prompts([[1, 2]]);
        Assert.Throws<ArgumentOutOfRangeException>(() => new QwenPolicy(model).StartDecoding(prompts, groupSize, maxNewTokens));
    }

    internal static TokenBatch Prompts(int[][] prompts) =>
        TokenBatchBuilder.Build([.. prompts.Select(prompt => new TokenSequence(prompt, []))], padTokenId: 0, CPU);

    internal static Tensor Ids(int[] ids) => tensor(ids.Select(id => (long)id).ToArray());

    private static void Compare(CausalLM model, int[][] rows, Tensor logits)
    {
        Assert.Equal(rows.Length, logits.shape[0]);
        for (int row = 0; row < rows.Length; row++)
        {
            Tensor whole = model.call(Ids(rows[row]).unsqueeze(0), null);
            TensorAssert.Near(whole[0].select(0, rows[row].Length - 1), logits[row], Tolerance, $"row {row}");
        }
    }
}

[Collection(LiveTensors.Name)]
public sealed class DecodingSessionLiveTensorTests
{
    [Theory]
    [InlineData(true, false)]
    [InlineData(false, false)]
    [InlineData(true, true)]
    [InlineData(false, true)]
    public void A_disposed_session_leaves_no_tensors(bool inScope, bool byCpuDecoder)
    {
        DecoderConfig config = byCpuDecoder ? TinyModels.CpuConfig() : TinyModels.Config();
        using var policy = new QwenPolicy(CausalLM.Initialize(config, seed: 7));
        using var promptScope = TensorScope.BeginNoGrad();
        TokenBatch prompts = DecodingSessionTests.Prompts([[1, 2, 3], [4]]);
        Assert.Equal(0, LiveTensors.GrowthOf(() =>
        {
            if (inScope)
            {
                using var scope = TensorScope.BeginNoGrad();
                Decode(policy, prompts);
            }
            else
            {
                // The tensors of this session and its results must not need the test's own scope.
                Decode(policy, prompts);
            }
        }));
    }

    private static void Decode(QwenPolicy policy, TokenBatch prompts)
    {
        using var session = (DecodingSession)policy.StartDecoding(prompts, groupSize: 2, maxNewTokens: 4);
        using Tensor first = session.Prefill();
        using Tensor next = first.argmax(1);
        using Tensor second = session.Advance(next);
        session.KeepRows([3, 1]);
        using Tensor kept = next.narrow(0, 0, 2);
        using Tensor third = session.Advance(kept);
        Assert.Equal([2, policy.Model.Config.VocabularySize], third.shape);
    }
}
