namespace Grpo.Callbacks;

/// <summary>Encodes and decodes a <see cref="FlightStep"/>.</summary>
internal static class FlightStepCodec
{
    private const int HashBytes = 32;

    // The minimum sizes in bytes. They bound the memory that a count in a file can make a reader allocate.
    private const int LeastGroup = 3;
    private const int LeastCompletion = 18;
    private const int LeastUpdate = 28;

    [Flags]
    private enum Has : byte
    {
        None = 0,
        SamplerLogProbs = 1,
        LogProbs = 2,
        LogProbsNearSampler = 4,
        ReferenceLogProbs = 8,
        MicroBatch = 16,
        All = 31,
    }

    public static void Write(FlightWriter writer, FlightStep step)
    {
        writer.Number(step.Seed);
        writer.Raw(Convert.FromHexString(step.WeightHash));
        writer.Ids(step.Rounds);
        writer.Count(step.MicroBatchTokens ?? 0);
        writer.Count(step.Groups.Count);
        var rewards = new FlightRewardCodec { Weights = step.RewardWeights };
        foreach (FlightGroup group in step.Groups)
        {
            writer.Text(group.PromptId);
            writer.Ids(group.PromptTokenIds);
            writer.Count(group.Completions.Count);
            foreach (FlightCompletion completion in group.Completions)
            {
                Write(writer, completion, rewards);
            }
        }

        writer.Count(step.Updates.Count);
        foreach (FlightUpdate update in step.Updates)
        {
            writer.Double(update.Loss);
            writer.Optional(update.Kl);
            writer.Optional(update.KlCoefficient);
            writer.Double(update.GradientNorm);
            writer.Double(update.LearningRate);
            writer.Optional(update.SkipReason);
            writer.Optional(update.EntropyThreshold);
        }
    }

    /// <summary>Decodes a step.</summary>
    /// <exception cref="InvalidDataException">The bytes are not a step.</exception>
    public static FlightStep Read(ref FlightReader reader, long number)
    {
        ulong seed = reader.Number();
        string hash = Convert.ToHexStringLower(reader.Raw(HashBytes));
        int[] rounds = reader.Ids();
        int microBatchTokens = reader.Int(); // 0 stands for null, since a micro-batch has at least one token
        var groups = new FlightGroup[reader.Count(LeastGroup)];
        var rewards = new FlightRewardCodec();
        for (int i = 0; i < groups.Length; i++)
        {
            string id = reader.Text();
            int[] prompt = reader.Ids();
            var completions = new FlightCompletion[reader.Count(LeastCompletion)];
            for (int j = 0; j < completions.Length; j++)
            {
                completions[j] = ReadCompletion(ref reader, rewards);
            }

            groups[i] = new FlightGroup(id, prompt, completions);
        }

        if (rounds.Sum(count => (long)count) != groups.Length)
        {
            throw new InvalidDataException($"rounds of {string.Join(" and ", rounds.Take(9))} groups do not make {groups.Length}");
        }

        var updates = new FlightUpdate[reader.Count(LeastUpdate)];
        for (int i = 0; i < updates.Length; i++)
        {
            updates[i] = new FlightUpdate
            {
                Loss = reader.Double(),
                Kl = reader.OptionalDouble(),
                KlCoefficient = reader.OptionalDouble(),
                GradientNorm = reader.Double(),
                LearningRate = reader.Double(),
                SkipReason = reader.OptionalText(),
                EntropyThreshold = reader.OptionalDouble(),
            };
        }

        return new FlightStep
        {
            Step = number,
            Seed = seed,
            WeightHash = hash,
            Rounds = rounds,
            Groups = groups,
            RewardWeights = rewards.Weights,
            MicroBatchTokens = microBatchTokens == 0 ? null : microBatchTokens,
            Updates = updates,
        };
    }

    private static void Write(FlightWriter writer, FlightCompletion completion, FlightRewardCodec rewards)
    {
        bool near = completion is { LogProbs: { } own, SamplerLogProbs: { } sampled } && own.Count == sampled.Count;
        writer.Ids(completion.TokenIds);
        writer.Byte((byte)completion.FinishReason);
        writer.Byte((byte)completion.Part);
        writer.Byte((byte)(
            (completion.SamplerLogProbs is null ? Has.None : Has.SamplerLogProbs)
            | (completion.LogProbs is null ? Has.None : near ? Has.LogProbs | Has.LogProbsNearSampler : Has.LogProbs)
            | (completion.ReferenceLogProbs is null ? Has.None : Has.ReferenceLogProbs)
            | (completion.MicroBatch is null ? Has.None : Has.MicroBatch)));
        writer.Double(completion.Advantage);
        writer.Optional(completion.MeanEntropy);
        rewards.Write(writer, completion.Reward);
        if (completion.MicroBatch is { } batch)
        {
            writer.Count(batch);
        }

        if (completion.SamplerLogProbs is { } sampler)
        {
            writer.Floats(sampler);
        }

        if (near)
        {
            writer.FloatsNear(completion.LogProbs!, completion.SamplerLogProbs!);
        }
        else if (completion.LogProbs is { } logProbs)
        {
            writer.Floats(logProbs);
        }

        if (completion.ReferenceLogProbs is { } reference)
        {
            writer.Floats(reference);
        }
    }

    private static FlightCompletion ReadCompletion(ref FlightReader reader, FlightRewardCodec rewards)
    {
        int[] ids = reader.Ids();
        var reason = (FinishReason)reader.Byte();
        var part = (FlightPart)reader.Byte();
        var has = (Has)reader.Byte();
        if (!Enum.IsDefined(reason) || !Enum.IsDefined(part) || has > Has.All
            || (has.HasFlag(Has.LogProbsNearSampler) && !has.HasFlag(Has.SamplerLogProbs)))
        {
            throw new InvalidDataException($"a completion ends by {reason}, has the part {part} and the fields {has}");
        }

        double advantage = reader.Double();
        double? entropy = reader.OptionalDouble();
        Reward reward = rewards.Read(ref reader);
        int? batch = has.HasFlag(Has.MicroBatch) ? reader.Int() : null;
        float[]? sampler = has.HasFlag(Has.SamplerLogProbs) ? reader.Floats() : null;
        return new FlightCompletion
        {
            TokenIds = ids,
            FinishReason = reason,
            SamplerLogProbs = sampler,
            MeanEntropy = entropy,
            Reward = reward,
            Advantage = advantage,
            Part = part,
            MicroBatch = batch,
            LogProbs = !has.HasFlag(Has.LogProbs)
                ? null
                : has.HasFlag(Has.LogProbsNearSampler) ? reader.FloatsNear(sampler!) : reader.Floats(),
            ReferenceLogProbs = has.HasFlag(Has.ReferenceLogProbs) ? reader.Floats() : null,
        };
    }
}
