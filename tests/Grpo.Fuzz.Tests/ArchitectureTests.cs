using System.Reflection;
using Grpo.Hub;
using Grpo.Models.Qwen;
using Grpo.Rewards;
using Grpo.Testing;
using Microsoft.Extensions.Logging;

namespace Grpo.Fuzz.Tests;

/// <summary>
/// Holds the compiled assemblies to the table of rooms in docs/architecture.md: a room is a folder, a feature and a namespace.
/// </summary>
public sealed class ArchitectureTests
{
    // The rooms of each project in the order of docs/architecture.md, with the rooms that each may use. "." is the root of the project.
    private static readonly (string Project, (string Room, string Uses)[] Rooms)[] Table =
    [
        ("Grpo.Core",
        [
            ("IO", ""),
            ("Tensors", "IO"),
            ("Planning", "IO"),
            ("Modeling", "Tensors Planning"),
            (".", "IO Modeling"),
            ("Losses", "IO Tensors ."),
            ("Rollouts", "IO Tensors Modeling ."),
            ("Scoring", "IO ."),
            ("Optimization", "IO Tensors Planning Modeling . Losses Rollouts Scoring"),
            ("Evaluation", "IO Modeling . Rollouts Scoring Optimization"),
            ("Checkpoints", "IO"),
            ("Training", "IO Tensors Planning Modeling . Losses Rollouts Optimization Evaluation Checkpoints"),
            ("Callbacks", "IO Tensors Modeling . Losses Rollouts Scoring Optimization Evaluation Checkpoints Training"),
            ("DependencyInjection", "Modeling . Rollouts Scoring Optimization Evaluation Checkpoints Training"),
        ]),
        ("Grpo.Hub", [(".", "")]),
        ("Grpo.Models.Qwen",
        [
            ("Config", ""),
            ("Tensors", ""),
            ("Cpu", ""),
            ("Quantization", "Tensors Cpu"),
            ("Jinja", ""),
            ("Text", "Config Jinja"),
            ("Lora", "Config Tensors"),
            ("Model", "Config Tensors Cpu Quantization Lora"),
            ("Decoding", "Config Tensors Cpu Lora Model"),
            ("Weights", "Config Quantization Text Lora Model"),
            ("Planning", "Config Quantization Text Lora Model Weights"),
            ("Policy", "Config Cpu Lora Model Decoding Weights Planning"),
            ("Pretrained", "Config Text Lora Model Weights Policy"),
            ("Export", "Config Quantization Text Lora Model Weights Policy Pretrained"),
            ("RewardModels", "Config Tensors Text Model Weights Policy Pretrained"),
            ("DependencyInjection", "Text Lora Weights Policy Pretrained RewardModels"),
        ]),
        ("Grpo.Rewards",
        [
            (".", ""),
            ("Answers", ""),
            ("Reading", ""),
            ("Generation", ""),
            ("Gsm8k", "Answers Reading"),
        ]),
    ];

    private static readonly Type[] Anchors = [typeof(GrpoOptimizer), typeof(HubClient), typeof(QwenPolicy), typeof(Gsm8kReward)];

    public static TheoryData<string> Projects => [.. Table.Select(entry => entry.Project)];

    [Theory]
    [MemberData(nameof(Projects))]
    public void Every_use_between_rooms_is_in_the_table(string project)
    {
        CompiledRooms compiled = Compiled(project);
        Assert.True(compiled.Types.Count() > 20, $"Only {compiled.Types.Count()} types of {project} were found.");
        Assert.Equal([], Violations(compiled.Edges(), Rooms(project)));
    }

    [Theory]
    [MemberData(nameof(Projects))]
    public void Every_entry_of_the_table_is_used(string project)
    {
        HashSet<(string, string)> used = [.. Compiled(project).Edges().Select(edge => (edge.From, edge.To))];
        string[] unused =
        [
            .. from room in Rooms(project) from target in Split(room.Uses) where !used.Contains((room.Room, target))
                select $"{room.Room} → {target}",
        ];
        Assert.Equal([], unused);
    }

    [Theory]
    [MemberData(nameof(Projects))]
    public void A_room_uses_only_rooms_above_it(string project)
    {
        var above = new HashSet<string>();
        foreach ((string room, string uses) in Rooms(project))
        {
            Assert.Equal([], Split(uses).Except(above).Select(target => $"{room} → {target}")); // so there is no cycle
            above.Add(room);
        }
    }

    // The check itself: an edge against the table is found and named.
    [Fact]
    public void Violations_names_a_use_against_the_table()
    {
        CompiledRooms core = Compiled("Grpo.Core");
        (string Room, string Uses)[] without =
            [.. Rooms("Grpo.Core").Select(room => room.Room == "Losses" ? (room.Room, room.Uses.Replace("Tensors ", "")) : room)];

        Assert.Contains("Losses → Tensors: Grpo.Losses.GrpoLoss uses Grpo.Tensors.TensorScope", Violations(core.Edges(), without));
        Assert.Contains(
            "IO → Training: Grpo.IO.TerminalText uses Grpo.GrpoTrainer",
            Violations([("Grpo.IO.TerminalText", "IO", "Grpo.GrpoTrainer", "Training")], Rooms("Grpo.Core")));
    }

    [Theory]
    [MemberData(nameof(Projects))]
    public void A_type_has_the_namespace_of_its_folder_or_stands_at_the_front_door(string project)
    {
        string root = project == "Grpo.Core" ? "Grpo" : project;
        foreach ((Mono.Cecil.TypeDefinition type, string room) in Compiled(project).Types)
        {
            string own = room == "." ? root : $"{root}.{room}";
            Assert.True(
                type.Namespace == own || (type.Namespace == root && type.IsPublic),
                $"{type.FullName} stands in the folder {room}; its namespace must be {own}, or {root} for a "
                + "public type that a first program names.");
        }
    }

    // Records of options, services and results are lists of named values, and need no such bound.
    [Theory]
    [MemberData(nameof(Projects))]
    public void A_constructor_has_five_parameters_at_most(string project)
    {
        string[] tooLong =
        [
            .. from type in Compiled(project).Types.SelectMany(entry => entry.Type.NestedTypes.Prepend(entry.Type))
               where !type.Name.StartsWith('<') && !type.Methods.Any(method => method.Name is "<Clone>$" or "PrintMembers")
               from method in type.Methods
               where method.IsConstructor && method.Parameters.Count > 5
               select $"{type.FullName} has {method.Parameters.Count}",
        ];
        Assert.Equal([], tooLong);
    }

    // A filter of a log selects messages by id.
    [Fact]
    public void An_event_id_belongs_to_one_log_message()
    {
        const BindingFlags All = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static | BindingFlags.Instance;
        (int Id, string Name)[] messages =
        [
            .. from anchor in Anchors
               from method in anchor.Assembly.GetTypes().SelectMany(type => type.GetMethods(All | BindingFlags.DeclaredOnly))
               let message = method.GetCustomAttribute<LoggerMessageAttribute>()
               where message is not null
               select (message.EventId, method.Name),
        ];
        Assert.True(messages.Length > 30, $"Only {messages.Length} log messages were found.");
        Assert.Equal(
            [], messages.GroupBy(message => message.Id).Where(same => same.Count() > 1).Select(same => string.Join(", ", same)));
    }

    [Fact]
    public void The_namespace_Grpo_offers_40_types_at_most()
    {
        string[] offered = [.. typeof(GrpoOptimizer).Assembly.GetExportedTypes()
            .Where(type => type is { Namespace: "Grpo", IsNested: false }).Select(type => type.Name)];
        Assert.InRange(offered.Length, 20, 40);
        Assert.All(
            new[]
            {
                typeof(IPolicy),
                typeof(IReferenceModel),
                typeof(IRewardFunction),
                typeof(IGroupSampler),
                typeof(GrpoOptimizer),
                typeof(GrpoTrainer),
            },
            type => Assert.Equal("Grpo", type.Namespace));
    }

    [Fact]
    public void The_page_quotes_the_table()
    {
        string[] page = File.ReadAllLines(Path.Combine(SharedData.RepositoryRoot, "docs", "architecture.md"));
        foreach ((string project, (string Room, string Uses)[] rooms) in Table.Where(entry => entry.Rooms.Length > 1))
        {
            string[] quoted =
            [
                .. page.SkipWhile(line => line != $"### Rooms of {project}").Skip(1).TakeWhile(line => !line.StartsWith('#'))
                    .Where(line => line.StartsWith("| `", StringComparison.Ordinal)),
            ];
            string[] wanted = [.. rooms.Select(room => $"| `{room.Room}` | {Quoted(room.Uses)} |")];
            Assert.Equal(wanted, quoted.Select(line => string.Join('|', line.Split('|').Take(3)) + "|"));
        }

        static string Quoted(string uses) => uses.Length == 0 ? "–" : string.Join(", ", Split(uses).Select(room => $"`{room}`"));
    }

    private static CompiledRooms Compiled(string project) =>
        new(Anchors.Single(type => type.Assembly.GetName().Name == project));

    private static (string Room, string Uses)[] Rooms(string project) => Table.Single(entry => entry.Project == project).Rooms;

    private static string[] Split(string uses) => uses.Split(' ', StringSplitOptions.RemoveEmptyEntries);

    private static string[] Violations(
        IEnumerable<(string User, string From, string Used, string To)> edges, (string Room, string Uses)[] rooms)
    {
        Dictionary<string, string[]> allowed = rooms.ToDictionary(room => room.Room, room => Split(room.Uses));
        return
        [
            .. from edge in edges
               where !allowed.TryGetValue(edge.From, out string[]? targets) || !targets.Contains(edge.To)
               select $"{edge.From} → {edge.To}: {edge.User} uses {edge.Used}",
        ];
    }
}
